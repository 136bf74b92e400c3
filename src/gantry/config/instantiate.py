"""Build objects from the configuration. `_target_` names what is called, its other keys are the arguments.

`_args_`, `_partial_` and `_recursive_` mean what they mean to Hydra's `instantiate`, with `_convert_: all`: parts get
plain lists and dicts. Hydra's own is not called because its partial functions ask at every single call whether they may
be called: a fifth of the time of a small GAN's turn.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial
from inspect import isclass
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.rules import INSTANTIATION_RULES, format_value, is_argument, is_left_out
from gantry.errors import UserError, user_errors


def build(node: DictConfig, kind: Any = None, **extra: Any) -> Any:
    """Return the object that a node with `_target_` describes; `extra` are arguments that only the program knows.

    Raises UserError, naming the key, for a target that does not exist, does not take these arguments or makes no
    object of this kind, and for a ValueError of its constructor. What else the constructor raises, or the import of its
    module, is a bug.
    """
    built = _build_node(node, recursive=True, extra=extra)
    if kind is not None and not is_of_kind(built, kind):
        raise _wrong_kind(node, kind)
    return built


def build_all(nodes: DictConfig | None, kind: Any = None) -> dict[str, Any]:
    """Return the objects of a dict of nodes, in its order, leaving out those that are null or false."""
    return {str(name): build(node, kind) for name, node in (nodes or {}).items() if not is_left_out(node)}


def is_of_kind(value: Any, annotation: Any) -> bool:
    """Return False for an object that an annotation does not allow; True where that cannot be known."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(is_of_kind(value, member) for member in arguments)
    if origin is Callable:
        return callable(value)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(is_of_kind(item, arguments[1]) for item in value.values())
    if annotation is Any or not isinstance(annotation, type) or not _can_be_checked(annotation):
        return True
    return isinstance(value, (int, float) if annotation is float else annotation)


def import_target(key: str, path: str) -> Callable[..., Any]:
    """Return what the dotted `path` names. Raises UserError, naming the key, if there is nothing to call."""
    first, *names = path.split(".")
    try:
        target: Any = importlib.import_module(first)
        for name in names:
            if isinstance(target, ModuleType) and not hasattr(target, name):
                importlib.import_module(f"{target.__name__}.{name}")
            target = getattr(target, name, None)
    except ModuleNotFoundError as error:
        raise UserError(f"{key} must be something that can be imported, got {path}: {error}") from error
    if not callable(target):
        raise UserError(f"{key} must be a class or a function, got {path}")
    return target


def _build_node(node: DictConfig, recursive: bool, extra: Mapping[str, Any]) -> Any:
    key, path, is_partial = node._get_full_key(None), node["_target_"], bool(node.get("_partial_"))
    for name, (rule, is_allowed) in INSTANTIATION_RULES.items():
        if name in node and not is_allowed(_to_plain(node[name])):
            raise UserError(f"{key}.{name} must be {rule}, got {format_value(node[name])}")
    target = import_target(f"{key}._target_", path)
    args, kwargs = _build_arguments(node, key, node.get("_recursive_", recursive))
    kwargs |= extra
    _check_kinds(node, target, kwargs)
    if error := _find_signature_mismatch(target, args, kwargs, is_partial):
        raise UserError(f"{key} must have the arguments of {path}, got {error}")
    if is_partial:
        return partial(target, *args, **kwargs)
    with user_errors():
        return target(*args, **kwargs)


def _check_kinds(node: DictConfig, target: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
    """Raise UserError for an object of another kind than the annotation of its argument, in a part of Gantry."""
    if str(node["_target_"]).partition(".")[0] != "gantry":
        return
    is_plain_class = isclass(target) and not is_dataclass(target)
    annotations = get_type_hints(target.__init__ if is_plain_class else target)  # type: ignore[misc]
    for name, value in kwargs.items():
        part = node.get(name)
        if isinstance(part, DictConfig) and not is_of_kind(value, annotations.get(name, Any)):
            raise _wrong_kind(part, annotations[name])


def _can_be_checked(annotation: type) -> bool:
    return not getattr(annotation, "_is_protocol", False) or getattr(annotation, "_is_runtime_protocol", False)


def _wrong_kind(node: DictConfig, kind: Any) -> UserError:
    name = getattr(kind, "__name__", str(kind)) if isinstance(kind, type) else str(kind)
    targets = node.get("_target_") or ", ".join(
        f"{key!s}: {getattr(part, '_target_', part)}" for key, part in node.items()
    )
    return UserError(f"{node._get_full_key(None)} must describe an object of the kind {name}, got {targets}")


def _build_arguments(node: DictConfig, key: str, recursive: bool) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the named arguments of a node, objects in place of nodes with `_target_`."""
    convert = partial(_build_value, recursive=True) if recursive else _to_plain
    names = [str(name) for name in node if is_argument(f"{key}.{name!s}")]
    arguments = [name for name in names if not (node.get("_partial_") and OmegaConf.is_missing(node, name))]
    return [convert(value) for value in node.get("_args_", ())], {name: convert(node[name]) for name in arguments}


def _build_value(value: Any, recursive: bool) -> Any:
    """Return an object for a node with `_target_`, plain containers of such values for other nodes."""
    if isinstance(value, ListConfig):
        return [_build_value(item, recursive) for item in value]
    if not isinstance(value, DictConfig):
        return value
    if "_target_" in value:
        return _build_node(value, recursive, {})
    return {name: _build_value(value[name], value.get("_recursive_", recursive)) for name in value}


def _to_plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig | ListConfig) else value


def _find_signature_mismatch(
    target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], is_partial: bool
) -> str:
    """Return what keeps a target from being called with these arguments, "" for nothing that is known."""
    try:
        signature = inspect.signature(target)
    except ValueError:  # of a builtin, which has none
        return ""
    try:
        signature.bind_partial(*args, **kwargs) if is_partial else signature.bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return ""
