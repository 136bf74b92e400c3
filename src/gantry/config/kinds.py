"""The rule that an annotation is for a value of the configuration: number, choice, list, part, dict of parts.

Names of Gantry's own modules are followed to their definition: `Schedule` is a function, `Ema` a class, and a value for
either is a dict with `_target_`. In the source of others only builtin types, and what is made of them, have rules.
"""

import ast
from collections.abc import Iterator

from gantry.config.rules import BOOL_RULE, DICT_RULE, PART_RULE, Rule
from gantry.config.signatures import Argument, find_definition, find_origin

TYPE_RULES: dict[str, Rule] = {
    "int": ("an integer", lambda v: type(v) is int),
    "float": ("a number", lambda v: type(v) in (int, float)),
    "bool": BOOL_RULE,
    "str": ("a text", lambda v: type(v) is str),
    "None": ("null", lambda v: v is None),
}
PLURALS = {"an integer": "integers", "a number": "numbers", "a text": "texts"}
NOT_CONFIGURED = ("Tensor", "torch.Tensor")  # in unions: `float | Tensor` is a number
UNKNOWN = ("Any", "object", "TypeVar")


def find_argument_rule(argument: Argument) -> Rule | None:
    """Return the rule for the values of an argument; None when it does not say what plain values are allowed."""
    return rule_from_annotation(argument.annotation, argument.module)


def rule_from_annotation(annotation: ast.expr | None, module: str = "") -> Rule | None:
    """Return the rule for values of this annotation in a module."""
    members = [member for member in _union_members(annotation) if ast.unparse(member) not in NOT_CONFIGURED]
    if len(members) != 1:
        rules = [rule_from_annotation(member, module) for member in members]
        return _union_rule([rule for rule in rules if rule]) if rules and all(rules) else None
    (member,) = members
    if isinstance(member, ast.Constant) and isinstance(member.value, str):  # an annotation in quotes
        return rule_from_annotation(ast.parse(str(member.value), mode="eval").body, module)
    if isinstance(member, ast.Subscript):
        return _subscript_rule(ast.unparse(member.value), member.slice, module)
    name = ast.unparse(member)
    return TYPE_RULES.get(name) or (_named_rule(name, module) if _is_ours(module) and name not in UNKNOWN else None)


def find_partial_rule(argument: Argument) -> bool | None:
    """Return what `_partial_` must be in a part for this argument; None where either may be right.

    An object must not be a function that still makes it. A factory, `Callable[..., Optimizer]`, must be; a function
    that computes with tensors or numbers may also be an object that is called.
    """
    annotation, module = argument.annotation, argument.module
    if not _is_ours(module):
        return None
    while isinstance(alias := _resolve_alias(annotation, module), Argument):
        annotation, module = alias.annotation, alias.module
    members = [member for member in _union_members(annotation) if ast.unparse(member) != "None"]
    if len(members) != 1 or ast.unparse(members[0]) in (*TYPE_RULES, *UNKNOWN, *NOT_CONFIGURED):
        return None
    member = members[0]
    if not isinstance(member, ast.Subscript):
        return False
    if ast.unparse(member.value) != "Callable" or not isinstance(member.slice, ast.Tuple):
        return None
    result = ast.unparse(member.slice.elts[-1])
    return None if result in (*TYPE_RULES, *UNKNOWN, *NOT_CONFIGURED) else True


def find_entry_argument(argument: Argument) -> Argument | None:
    """Return the argument that each entry of a dict is, for an annotation such as `Mapping[str, Score]`."""
    annotation = argument.annotation
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("Mapping", "dict"):
        return Argument(annotation.slice.elts[-1], argument.module) if isinstance(annotation.slice, ast.Tuple) else None
    return None


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "gantry"


def _union_members(annotation: ast.expr | None) -> Iterator[ast.expr]:
    """Yield the types of `A | B`, at any depth."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _union_members(annotation.left)
        yield from _union_members(annotation.right)
    elif annotation is not None:
        yield annotation


def _union_rule(rules: list[Rule]) -> Rule:
    return " or ".join(dict.fromkeys(text for text, _ in rules)), lambda v: any(test(v) for _, test in rules)


def _resolve_alias(annotation: ast.expr | None, module: str) -> Argument | None:
    """Return the value of an alias, as in `Schedule = Callable[[float], float]`; None for any other annotation."""
    if not isinstance(annotation, ast.Name):
        return None
    definition = find_definition(f"{module}.{annotation.id}")
    is_alias = definition is not None and isinstance(definition.node, ast.expr)
    return Argument(definition.node, definition.module) if definition is not None and is_alias else None  # type: ignore[arg-type]


def _named_rule(name: str, module: str) -> Rule | None:
    """Return the rule of a class, or of an alias, that a module of Gantry names."""
    alias = _resolve_alias(ast.parse(name, mode="eval").body, module)
    if alias is not None:
        return find_argument_rule(alias)
    if find_origin(module, name) == "pathlib.Path":
        return TYPE_RULES["str"]
    return PART_RULE


def _subscript_rule(name: str, inside: ast.expr, module: str) -> Rule | None:
    if name == "Literal":
        choices = ast.literal_eval(inside)
        choices = choices if isinstance(choices, tuple) else (choices,)
        return f"one of {', '.join(map(str, choices))}", lambda v: type(v) in map(type, choices) and v in choices
    if name in ("Mapping", "dict"):
        return DICT_RULE
    if name == "Callable":
        return PART_RULE if _is_ours(module) else None
    if name in ("Sequence", "list", "tuple"):
        first = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
        item = None if "Tensor" in ast.unparse(first) else rule_from_annotation(first, module)
        if item is not None:
            text = PLURALS.get(item[0], item[0])
            return f"a list of {text}", lambda v: isinstance(v, list | tuple) and all(map(item[1], v))
    return None
