"""Conversions of plain Python values: to JSON, between nested and flat names, to a line; even spacing of numbers."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

LOG_SPACING_RATIO = 20.0  # numbers are on a log scale only if the largest is so many times the smallest


def to_json_values(value: Any) -> Any:
    """Convert sequences to lists and mappings to dicts with string keys, at every depth."""
    if isinstance(value, Mapping):
        return {str(name): to_json_values(inner) for name, inner in value.items()}
    return [to_json_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def flatten(value: Any, separator: str = ".", key: str = "") -> dict[str, Any]:
    """Flatten nested mappings: {"optim": {"lr": 1}} -> {"optim.lr": 1}; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    inner = ((f"{key}{separator}{name}".lstrip(separator), item) for name, item in value.items())
    return {k: v for above, item in inner for k, v in flatten(item, separator, above).items()}


def unflatten(pairs: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Invert `flatten`: {"optim.lr": 1} -> {"optim": {"lr": 1}}."""
    tree: dict[str, Any] = {}
    for key, value in pairs.items():
        *above, last = key.split(separator)
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def evenly_spaced(total: int, most: int) -> list[int]:
    """Return up to `most` evenly spaced numbers of 0 .. total - 1, first and last included; the first if most = 1."""
    count = min(total, most)
    return [round(i * (total - 1) / max(count - 1, 1)) for i in range(count)]


def list_first(items: Sequence[str], most: int) -> str:
    """Return texts for a line: `a, b and 3 more`."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def is_log_spaced(values: Sequence[float]) -> bool:
    """Return True if numbers span orders of magnitude and lie more evenly on a log scale: 0.1, 1, 10, not 1, 15, 30."""
    if not values or min(values) <= 0 or max(values) / min(values) <= LOG_SPACING_RATIO:
        return False
    return distance_from_middle([math.log(value) for value in values]) < distance_from_middle(values)


def distance_from_middle(values: Sequence[float]) -> float:
    """Return the distance of the median of different numbers from the middle of their range, in units of the range."""
    low, high = min(values), max(values)
    return abs((median(values) - low) / (high - low) - 0.5)


def non_finite_to_none(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None at every depth."""
    if isinstance(value, Mapping):
        return {str(name): non_finite_to_none(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [non_finite_to_none(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
