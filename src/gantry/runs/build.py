"""From configuration to objects: the one place that calls Hydra's `instantiate`."""

from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig


def build(node: DictConfig, *args: Any, **extra: Any) -> Any:
    """The object that a node with `_target_` describes; `extra` are arguments that only the program knows.

    A ValueError of the constructor is the user's mistake and is passed on as it is.
    """
    try:
        return hydra.utils.instantiate(node, *args, **extra, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        raise


def build_all(nodes: DictConfig | None, **extra: Any) -> dict[str, Any]:
    """The objects of a dict of nodes, in its order, leaving out those that are null."""
    return {str(name): build(node, **extra) for name, node in (nodes or {}).items() if node is not None}
