"""Values as JSON has them."""

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Sequences as lists and mappings as dicts with names for keys."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
