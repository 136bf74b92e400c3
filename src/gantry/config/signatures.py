"""Arguments of a `_target_`, read from its source: importing it could cost seconds, a mistake should not."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

Arguments = dict[str, ast.expr | None]


@cache
def read_arguments(target: str) -> Arguments | None:
    """Names of the arguments of a class or function with their annotations; None when they cannot be known."""
    module, _, name = target.rpartition(".")
    path = _find_source(module)
    if path is None:
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _function_arguments(node)
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _class_arguments(node)
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            original = next(a.name for a in node.names if (a.asname or a.name) == name)
            return read_arguments(f"{_absolute_module(node, module, path)}.{original}")
    return None


def _find_source(module: str) -> Path | None:
    """The file of a module, found without importing any part of it but the top."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None or not spec.origin:
        return None
    if not rest:
        return Path(spec.origin)
    path = Path(spec.origin).parent.joinpath(*rest)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _absolute_module(node: ast.ImportFrom, module: str, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _class_arguments(node: ast.ClassDef) -> Arguments | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _function_arguments(item)
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    if not fields or not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return None
    return {item.target.id: item.annotation for item in fields if isinstance(item.target, ast.Name)}


def _function_arguments(node: ast.FunctionDef) -> Arguments | None:
    if node.args.kwarg is not None:
        return None
    parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return {p.arg: p.annotation for p in parameters if p.arg != "self"}
