"""Classes have names: found in folders, dataset.json or arrays, and matched by name between two collections."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantry.data.folder_index import normalize_unicode
from gantry.values import list_first

_MAX_LISTED_CLASSES = 12  # names in an error line; the others are counted


@dataclass(frozen=True)
class ClassLabels:
    """The names of classes, and for every image the position of its class among them, int64 [N].

    Where a class is a number, its name is that number: "7".
    """

    names: tuple[str, ...]
    ids: NDArray[np.int64]


def find_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the top folders, in numeric order if all are numbers, else by name; () if an image lies outside them."""
    folders = {name.partition("/")[0] if "/" in name else "" for name in names}
    return () if "" in folders else _sort_class_names(folders)


def _sort_class_names(names: set[str]) -> tuple[str, ...]:
    numeric = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if numeric else normalize_unicode))


def label_by_folder(names: Sequence[str]) -> ClassLabels | None:
    """Return the classes of files by the top folder that each lies in; None if one lies outside."""
    classes = find_class_names(names)
    return _make_labels([name.partition("/")[0] for name in names], classes) if classes else None


def _make_labels(values: Sequence[str], names: tuple[str, ...]) -> ClassLabels:
    ids = {name: i for i, name in enumerate(names)}
    return ClassLabels(names, np.array([ids[value] for value in values], np.int64))


def label_by_array(c: NDArray[Any], n: int) -> ClassLabels:
    """Return the classes of n images: numbers [n] or [n, 1], whole ones of any type, one-hot rows [n, K], or names [n].

    Raises ValueError, with what the array is, for any other.
    """
    what = f"{c.dtype} {list(c.shape)}"
    if c.ndim == 2 and c.shape[1] == 1:
        c = c[:, 0]
    if c.shape == (n,) and c.dtype.kind == "U":
        values = [str(value) for value in c]
        return _make_labels(values, _sort_class_names(set(values)))
    if c.dtype.kind not in "biuf" or c.ndim not in (1, 2) or len(c) != n:
        raise ValueError(f"{what} for {n} images")
    if c.ndim == 2:
        if not (np.isin(c, (0, 1)).all() and (c.sum(1) == 1).all()):
            raise ValueError(f"{what} that is not one-hot")
        return ClassLabels(tuple(map(str, range(c.shape[1]))), c.argmax(1).astype(np.int64))
    if not (np.isfinite(c).all() and (c == np.floor(c)).all()):
        raise ValueError(f"{what} with numbers that are not whole")
    numbers, ids = np.unique(c, return_inverse=True)
    return ClassLabels(tuple(str(int(number)) for number in numbers), ids.astype(np.int64))


def label_by_dataset_json(text: bytes, names: Sequence[str]) -> ClassLabels | None:
    """Return the classes that StyleGAN's dataset.json states, {"labels": [[name, class], ...]}; None without labels.

    Raises ValueError, with the reason, for a file that is none, for images that it leaves out and for vectors.
    """
    try:
        content = json.loads(text)
        labels = content["labels"]
        if labels is None:
            return None
        by_name = {str(name).replace("\\", "/"): label for name, label in labels}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f'a dataset.json without {{"labels": [[name, class], ...]}} ({type(error).__name__})'
        ) from None
    if missing := [name for name in names if name not in by_name]:
        raise ValueError(f"a dataset.json without a label for {len(missing)} images, {missing[0]} among them")
    return _label_by_json_values([by_name[name] for name in names])


def _label_by_json_values(values: list[Any]) -> ClassLabels:
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        array = np.array([], object)
    try:
        return label_by_array(array, len(values))
    except ValueError as error:
        raise ValueError(f"a dataset.json whose labels are no classes: {error}") from None


def complete_classes(labels: ClassLabels, num_classes: int) -> ClassLabels:
    """Return labels of `num_classes` classes: numbers below it stand for themselves, so that some may be missing.

    Raises ValueError where the number of classes is another.
    """
    numbers = [int(name) if name.isdecimal() else num_classes for name in labels.names]
    if max(numbers) < num_classes and len(set(numbers)) == len(numbers):
        return ClassLabels(tuple(map(str, range(num_classes))), np.array(numbers, np.int64)[labels.ids])
    if len(labels.names) != num_classes:
        raise ValueError(f"{len(labels.names)} classes ({list_class_names(labels.names)})")
    return labels


def match_class_names(names: Sequence[str], targets: Sequence[str]) -> list[int]:
    """Return the position of each name among the targets; "0 - zero" is called "0" and "zero" as well.

    Numbers are positions where no target is called by a number. Raises ValueError, with both lists, where a name has
    no target or shares it with another one.
    """
    known = _index_aliases(targets)
    indices = [next((known[alias] for alias in _make_aliases(name) if alias in known), -1) for name in names]
    has_numbers = any(alias.isdecimal() for alias in known)
    if not has_numbers and all(name.isdecimal() and int(name) < len(targets) for name in names):
        indices = [int(name) for name in names]
    if -1 in indices or len(set(indices)) < len(indices):
        raise ValueError(f"{list_class_names(targets)}, got {list_class_names(names)}")
    return indices


def _index_aliases(targets: Sequence[str]) -> Mapping[str, int]:
    """Return the position of each alias that belongs to one target alone."""
    positions: dict[str, set[int]] = {}
    for i, target in enumerate(targets):
        for alias in _make_aliases(target):
            positions.setdefault(alias, set()).add(i)
    return {alias: min(indices) for alias, indices in positions.items() if len(indices) == 1}


def _make_aliases(name: str) -> list[str]:
    """Return the names that a class goes by, the exact one first: torchvision calls MNIST's "0 - zero"."""
    name = normalize_unicode(name)
    number, dash, word = name.partition(" - ")
    aliases = [name, *([number, word] if dash and number.isdecimal() else [])]
    aliases += [str(int(alias)) if alias.isdecimal() else alias.casefold() for alias in aliases]
    return list(dict.fromkeys(aliases))


def list_class_names(names: Sequence[str]) -> str:
    """Return the names for an error line, the first ones of many."""
    return list_first(names, _MAX_LISTED_CLASSES)
