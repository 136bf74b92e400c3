"""Arguments of a `_target_` and their types, read from its source: importing it could take seconds."""

import ast
import importlib.util
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Argument:
    """An argument of a class or function: its annotation, whose names belong to `module`."""

    annotation: ast.expr | None
    module: str
    is_required: bool = True


@dataclass(frozen=True)
class Definition:
    """The statement that defines a name in a module: a class, a function, or the value of an alias."""

    module: str
    name: str
    node: ast.ClassDef | ast.FunctionDef | ast.expr


Arguments = dict[str, Argument]


@cache
def read_arguments(target: str) -> Arguments | None:
    """Return the arguments of a class or function; None when they cannot be known."""
    definition = find_definition(target)
    if definition is None or isinstance(definition.node, ast.expr):
        return None
    if isinstance(definition.node, ast.FunctionDef):
        return _function_arguments(definition.node, definition.module)
    return _class_arguments(definition.node, definition.module)


@cache
def find_definition(target: str) -> Definition | None:
    """Return the definition of a dotted name, following imports by name; None when it cannot be known.

    `from x import *` is not followed.
    """
    module, _, name = target.rpartition(".")
    node = _read_names(module).get(name)
    if not isinstance(node, ast.ImportFrom):
        return None if node is None else Definition(module, name, node)
    origin = find_origin(module, name)
    return find_definition(origin) if origin.rpartition(".")[0] != module else None


def find_origin(module: str, name: str) -> str:
    """Return the dotted name that a name in a module is imported as; that of the module's own if it is not."""
    node = _read_names(module).get(name)
    if isinstance(node, ast.ImportFrom):
        original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
        return f"{_absolute_module(node, module)}.{original}"
    return f"{module}.{name}"


@cache
def find_source(module: str) -> Path | None:
    """Return the file of a module, without importing any part of it but the top."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    if not rest:
        return Path(spec.origin)
    path = Path(spec.origin).parent.joinpath(*rest)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _read_names(module: str) -> dict[str, ast.ClassDef | ast.FunctionDef | ast.ImportFrom | ast.expr]:
    """Return what the top level of a module's source defines, by name; nothing if there is no source."""
    path = find_source(module)
    if path is None or path.suffix != ".py":
        return {}
    names: dict[str, ast.ClassDef | ast.FunctionDef | ast.ImportFrom | ast.expr] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node.value
    return names


def _absolute_module(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    path = find_source(module)
    package = module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _class_arguments(node: ast.ClassDef, module: str) -> Arguments | None:
    """Return the arguments of `__init__`, or the fields of a dataclass; of the class that they are inherited from."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _function_arguments(item, module)
    inherited: Arguments = {}
    for base in reversed(node.bases):
        names = {} if ast.unparse(base) in ("Protocol", "object") else _base_arguments(base, module)
        if names is None:
            return None
        inherited |= names
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return inherited | _dataclass_fields(node, module)
    return inherited if node.bases and "Protocol" not in map(ast.unparse, node.bases) else {}


def _base_arguments(base: ast.expr, module: str) -> Arguments | None:
    return read_arguments(f"{module}.{base.id}") if isinstance(base, ast.Name) else None


def _dataclass_fields(node: ast.ClassDef, module: str) -> Arguments:
    fields: Arguments = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            value = "" if item.value is None else ast.unparse(item.value)
            if ast.unparse(item.annotation).startswith("ClassVar") or "init=False" in value:
                continue
            has_default = item.value is not None and (not value.startswith("field(") or "default" in value)
            fields[item.target.id] = Argument(item.annotation, module, not has_default)
    return fields


def _function_arguments(node: ast.FunctionDef, module: str) -> Arguments | None:
    if node.args.kwarg is not None:
        return None
    positional = [*node.args.posonlyargs, *node.args.args]
    arguments = {p.arg: Argument(p.annotation, module) for p in [*positional, *node.args.kwonlyargs]}
    with_default = positional[len(positional) - len(node.args.defaults) :]
    with_default += [p for p, default in zip(node.args.kwonlyargs, node.args.kw_defaults) if default is not None]
    arguments |= {p.arg: replace(arguments[p.arg], is_required=False) for p in with_default}
    return {name: argument for name, argument in arguments.items() if name != "self"}
