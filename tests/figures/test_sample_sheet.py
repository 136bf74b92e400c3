"""The labels of a sheet: which classes its rows show."""

import pytest
import torch

from gantry.figures.sample_sheet import SampleSheet, format_classes, make_fixed_sheet
from stubs import TinyG


@pytest.mark.parametrize(
    ("c", "label"),
    [
        ([3, 3, 3], "class 3"),
        ([0, 1, 2, 3], "classes 0 to 3"),
        ([3, 0, 1], ""),
        ([], ""),
        ([1], "truck"),
        ([2, 2], "class 2"),
    ],
)
def test_a_row_is_named_by_its_classes(c: list[int], label: str) -> None:
    assert format_classes(c, ("cat", "truck", "2")) == label


def test_a_name_is_one_short_line() -> None:
    assert format_classes([0], ("two\nlines\udcff " + "x" * 99,)) == "two lines\\udcff xxxxxxxx"


def test_rows_and_columns_know_their_classes() -> None:
    c = torch.tensor([0, 1, 2, 3, 4])
    assert SampleSheet(c, c, rows=2).list_classes_of_rows() == [[0, 2, 4], [1, 3]]
    assert SampleSheet(c, c, columns=2).list_classes_of_rows() == [[0, 1], [2, 3], [4]]


def test_without_classes_there_are_no_labels() -> None:
    plain = make_fixed_sheet(TinyG(), 0, 3, 4).render(TinyG())
    assert plain.shape == (3 * 50 + 2, 4 * 50 + 2, 1)
    labelled = make_fixed_sheet(TinyG(num_classes=2), 0, 3, 4, ("cat", "dog")).render(TinyG(num_classes=2))
    assert labelled.shape[0] == 2 * 50 + 2
    assert labelled.shape[1] > 4 * 50 + 2
