"""From configuration to objects. `_target_` names what is called, its other keys are the arguments.

`_partial_` and `_recursive_` mean what they mean to Hydra's `instantiate`, which is not called because its partial
functions ask at every single call whether they may be called: a fifth of the time of a small GAN's turn.
"""

import functools
import inspect
from typing import Any

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.rules import is_argument


def build(node: DictConfig, **extra: Any) -> Any:
    """The object that a node with `_target_` describes; `extra` are arguments that only the program knows.

    Raises ValueError, naming the key, for a target that does not exist or does not take these arguments; one that its
    constructor raises is the user's mistake too, and is passed on as it is.
    """
    key = node._get_full_key(None)
    target = _import_target(f"{key}._target_", str(node["_target_"]))
    arguments = {str(name): _build_argument(node, name) for name in node if is_argument(f"{key}.{name!s}")} | extra
    bind = inspect.signature(target).bind_partial if node.get("_partial_") else inspect.signature(target).bind
    try:
        bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{key} must have the arguments of {node['_target_']}, got {error}") from None
    return functools.partial(target, **arguments) if node.get("_partial_") else target(**arguments)


def build_all(nodes: DictConfig | None) -> dict[str, Any]:
    """The objects of a dict of nodes, in its order, leaving out those that are null."""
    return {str(name): build(node) for name, node in (nodes or {}).items() if node is not None}


def _import_target(key: str, path: str) -> Any:
    try:
        return hydra.utils.get_object(path)
    except Exception as error:  # what the import of a user's module raises is anybody's guess
        raise ValueError(f"{key} must be something that can be imported, got {path}: {error}") from error


def _build_argument(node: DictConfig | ListConfig, name: Any) -> Any:
    """An argument: an object for a node with `_target_`, else plain containers and numbers."""
    value = node[name]
    if not isinstance(value, DictConfig | ListConfig):
        return value
    if isinstance(node, DictConfig) and node.get("_recursive_") is False:
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, ListConfig):
        return [_build_argument(value, i) if isinstance(item, DictConfig) else item for i, item in enumerate(value)]
    return build(value) if "_target_" in value else {str(inner): _build_argument(value, inner) for inner in value}
