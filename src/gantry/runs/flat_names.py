"""Configurations as one level of dotted names, and back."""

from collections.abc import Mapping
from typing import Any


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    return {k: v for name, inner in value.items() for k, v in flat(inner, f"{key}.{name}".lstrip(".")).items()}


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
