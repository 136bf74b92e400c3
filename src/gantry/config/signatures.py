"""Arguments of a `_target_` and their types, read from its source: importing it could take seconds."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from gantry.config.rules import BOOL_RULE, DICT_RULE, Rule

Arguments = dict[str, ast.expr | None]

TYPE_RULES: dict[str, Rule] = {
    "int": ("an integer", lambda v: type(v) is int),
    "float": ("a number", lambda v: type(v) in (int, float)),
    "bool": BOOL_RULE,
    "str": ("a text", lambda v: type(v) is str),
}


@cache
def read_arguments(target: str) -> Arguments | None:
    """Return the arguments of a class or function with their annotations; None when they cannot be known."""
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
    """Return the file of a module, without importing any part of it but the top."""
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


def rule_from_annotation(annotation: ast.expr | None) -> Rule | None:
    """Return the rule for values of an annotated argument; None when it does not say what plain values are allowed."""
    if isinstance(annotation, ast.Name):
        return TYPE_RULES.get(annotation.id)
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return "null", lambda v: v is None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        left, right = rule_from_annotation(annotation.left), rule_from_annotation(annotation.right)
        return _union_rule(left, right) if left and right else None
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        return _subscript_rule(annotation.value.id, annotation.slice)
    return None


def _union_rule(left: Rule, right: Rule) -> Rule:
    return f"{left[0]} or {right[0]}", lambda v: left[1](v) or right[1](v)


def _subscript_rule(name: str, inside: ast.expr) -> Rule | None:
    if name == "Literal":
        choices = ast.literal_eval(inside)
        choices = choices if isinstance(choices, tuple) else (choices,)
        return f"one of {', '.join(map(str, choices))}", lambda v: v in choices
    if name in ("Mapping", "dict"):
        return DICT_RULE
    if name in ("Sequence", "list", "tuple"):
        first = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
        item = rule_from_annotation(first)
        if item is not None:
            plural = {"an integer": "integers", "a number": "numbers", "a text": "texts"}.get(item[0], item[0])
            return f"a list of {plural}", lambda v: isinstance(v, list | tuple) and all(map(item[1], v))
    return None
