"""Plain values: as JSON has them, under flat names, evenly spaced."""

import math
from collections.abc import Mapping
from typing import Any


def to_json_values(value: Any) -> Any:
    """Sequences as lists and mappings as dicts with names for keys."""
    if isinstance(value, Mapping):
        return {str(name): to_json_values(inner) for name, inner in value.items()}
    return [to_json_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def flatten(value: Any, separator: str = ".", key: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    inner = ((f"{key}{separator}{name}".lstrip(separator), item) for name, item in value.items())
    return {k: v for above, item in inner for k, v in flatten(item, separator, above).items()}


def unflatten(pairs: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """{"optim.lr": 1} -> {"optim": {"lr": 1}}: what `flat` was given."""
    tree: dict[str, Any] = {}
    for key, value in pairs.items():
        *above, last = key.split(separator)
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def evenly_spaced(total: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 .. total - 1, the first and the last with them; of one, the first."""
    count = min(total, most)
    return [round(i * (total - 1) / max(count - 1, 1)) for i in range(count)]


def non_finite_to_none(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are written as null."""
    if isinstance(value, Mapping):
        return {str(name): non_finite_to_none(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [non_finite_to_none(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
