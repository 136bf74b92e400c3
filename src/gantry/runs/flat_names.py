"""Configurations as one level of dotted names, and back."""

from collections.abc import Mapping
from typing import Any


def flat(value: Any, separator: str = ".", key: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    inner = ((f"{key}{separator}{name}".lstrip(separator), item) for name, item in value.items())
    return {k: v for above, item in inner for k, v in flat(item, separator, above).items()}


def nested(pairs: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """{"optim.lr": 1} -> {"optim": {"lr": 1}}: what `flat` was given."""
    tree: dict[str, Any] = {}
    for key, value in pairs.items():
        *above, last = key.split(separator)
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return tree
