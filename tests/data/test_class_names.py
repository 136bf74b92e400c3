"""Classes are matched by name, and what stands for a class is understood or refused in one line."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry.data.class_names import (
    ClassLabels,
    complete_classes,
    label_by_array,
    label_by_dataset_json,
    label_by_folder,
    match_class_names,
)

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
MNIST = [f"{k} - {word}" for k, word in enumerate(WORDS)]


@pytest.mark.parametrize(
    ("names", "targets", "expected"),
    [
        (["dog", "cat"], ["cat", "dog"], [1, 0]),
        (["dog"], ["cat", "dog", "eel"], [1]),  # a class that is missing shifts no other
        (sorted(WORDS), MNIST, [WORDS.index(word) for word in sorted(WORDS)]),
        (["0", "9"], MNIST, [0, 9]),
        (["1", "2", "3"], ["1", "2", "3"], [0, 1, 2]),
        (["7"], ["005", "006", "007"], [2]),
        (["0", "2"], ["cat", "dog", "eel"], [0, 2]),  # numbers are positions where names are words
        (["Cat"], ["dog", "cat"], [1]),
        (["cafe\u0301"], ["bar", "caf\u00e9"], [1]),
    ],
)
def test_classes_are_matched_by_name(names: list[str], targets: list[str], expected: list[int]) -> None:
    assert match_class_names(names, targets) == expected


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["ant", "cat"], ["cat", "dog"]),
        (["0", "1", "2"], ["1", "2", "3"]),
        (["0", "11"], MNIST),
        (["3"], ["cat", "dog", "eel"]),
        (["-1", "0"], ["cat", "dog"]),
        (["cat", "Cat"], ["cat", "dog"]),  # two for one
        (["CAT"], ["cat", "Cat"]),  # one for two
    ],
)
def test_names_that_do_not_match_are_refused_with_both_lists(names: list[str], targets: list[str]) -> None:
    with pytest.raises(ValueError, match=rf"^{', '.join(targets)}, got {', '.join(names)}$"):
        match_class_names(names, targets)


@pytest.mark.parametrize(
    ("c", "names", "ids"),
    [
        (np.array([3, 1, 3], np.uint8), ("1", "3"), [1, 0, 1]),
        (np.array([[3], [1], [3]]), ("1", "3"), [1, 0, 1]),
        (np.array([3.0, -1.0, 3.0]), ("-1", "3"), [1, 0, 1]),
        (np.array([[0, 1], [1, 0], [0, 1]], np.float32), ("0", "1"), [1, 0, 1]),
        (np.array(["dog", "cat", "dog"]), ("cat", "dog"), [1, 0, 1]),
    ],
)
def test_arrays_that_are_classes(c: NDArray, names: tuple[str, ...], ids: list[int]) -> None:
    labels = label_by_array(c, 3)
    assert (labels.names, labels.ids.tolist()) == (names, ids)


@pytest.mark.parametrize(
    ("c", "reason"),
    [
        (np.array([0.5, 1, 2]), r"float64 \[3\] with numbers that are not whole"),
        (np.array([np.nan, 1, 2]), r"float64 \[3\] with numbers that are not whole"),
        (np.array([[1, 1], [0, 1], [0, 1]]), r"int64 \[3, 2\] that is not one-hot"),
        (np.zeros(4, int), r"int64 \[4\] for 3 images"),
        (np.zeros((3, 2, 2)), r"float64 \[3, 2, 2\] for 3 images"),
        (np.zeros(3, complex), r"complex128 \[3\] for 3 images"),
    ],
)
def test_arrays_that_are_no_classes(c: NDArray, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        label_by_array(c, 3)


def test_dataset_json_states_the_classes() -> None:
    names = ["00000/a.png", "00000/b.png"]
    text = json.dumps({"labels": [["00000\\b.png", 7], ["00000/a.png", 2], ["other.png", 1]]})
    labels = label_by_dataset_json(text.encode(), names)
    assert labels is not None
    assert [labels.names[i] for i in labels.ids] == ["2", "7"]
    assert label_by_dataset_json(b'{"labels": null}', names) is None
    one_hot = label_by_dataset_json(json.dumps({"labels": [[names[0], [0, 1]], [names[1], [1, 0]]]}).encode(), names)
    assert one_hot is not None
    assert one_hot.ids.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "without .*JSONDecodeError"),
        (b"[]", "without .*TypeError"),
        (b'{"labels": [1, 2]}', "without .*TypeError"),
        (b"[" * 100_000, "without .*RecursionError"),
        (b"\xff\xfe\xff", "without .*Error"),
        (b'{"labels": [["a.png", 1]]}', r"without a label for 1 images, b\.png among them"),
        (b'{"labels": [["a.png", 1], ["b.png", [0.2, 0.8]]]}', "no classes"),
        (b'{"labels": [["a.png", [0.3, 0.7]], ["b.png", [0.2, 0.8]]]}', "no classes: .* not one-hot"),
        (b'{"labels": [["a.png", {}], ["b.png", 1]]}', "no classes"),
    ],
)
def test_a_dataset_json_that_states_no_classes(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^a dataset.json .*{reason}"):
        label_by_dataset_json(text, ["a.png", "b.png"])


def test_numbers_below_the_number_of_classes_stand_for_themselves() -> None:
    some = ClassLabels(("0", "2"), np.array([1, 0, 1]))
    assert complete_classes(some, 3).names == ("0", "1", "2")
    assert complete_classes(some, 3).ids.tolist() == [2, 0, 2]
    counted_from_1 = ClassLabels(("1", "2", "3"), np.array([2, 0, 1]))
    assert complete_classes(counted_from_1, 3) is counted_from_1
    with pytest.raises(ValueError, match=r"^2 classes \(cat, dog\)$"):
        complete_classes(ClassLabels(("cat", "dog"), np.array([0, 1])), 3)


def test_files_have_the_class_of_their_top_folder() -> None:
    labels = label_by_folder(["b/1.png", "a/deep/2.png", "b/3.png"])
    assert labels is not None
    assert (labels.names, labels.ids.tolist()) == (("a", "b"), [1, 0, 1])
    assert label_by_folder(["b/1.png", "2.png"]) is None
