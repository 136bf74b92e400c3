"""What a value in the configuration may be: by the name of its key, and by the type of the argument it becomes."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

Rule = tuple[str, Callable[[Any], bool]]


def integer_at_least(least: int) -> Rule:
    """An integer from `least` on."""
    return f"an integer of at least {least}", lambda v: type(v) is int and v >= least


def number_at_least(least: float) -> Rule:
    """A number from `least` on."""
    return f"a number of at least {least:g}", lambda v: type(v) in (int, float) and v >= least


HARDWARE_SWITCHES = ("sync_batchnorm", "channels_last", "tf32", "compile", "capture")
OWN_TRAINER_KEYS = {
    f"trainer.{name}" for name in HARDWARE_SWITCHES
}  # keys that Gantry obeys itself, beside the arguments of a `_target_`

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")  # those that need no scaled loss
PRECISION_SPELLINGS = (*PRECISIONS, "32", "bf16", "64", 32, 64)


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(type(v) is int and v >= 0 for v in value) and len(set(value)) == len(value)
    return value == "auto" or (type(value) is int and (value == -1 or value >= 1))


KEY_RULES: dict[str, Rule] = {
    "turns": integer_at_least(1),
    "seed": integer_at_least(0),
    "batch_size": integer_at_least(1),
    "n_critic": integer_at_least(1),
    "every": integer_at_least(1),
    "patience": integer_at_least(1),
    "accumulate": integer_at_least(1),
    "z_dim": integer_at_least(1),
    "num_classes": integer_at_least(0),
    "num_samples": integer_at_least(2),
    "lr": number_at_least(0),
    "lr_scale": number_at_least(0),
    "weight": number_at_least(0),
    "weight_decay": number_at_least(0),
    "half_life": number_at_least(0),
    "precision": (f"one of {', '.join(PRECISIONS)}", lambda v: v in PRECISION_SPELLINGS),
    **dict.fromkeys(HARDWARE_SWITCHES, ("true or false", lambda v: type(v) is bool)),
    "devices": ("an integer of at least 1, -1 or auto for all, or a list of different device numbers", _is_devices),
    "betas": ("two numbers in [0, 1)", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v)),
}


TYPE_RULES: dict[str, Rule] = {
    "int": ("an integer", lambda v: type(v) is int),
    "float": ("a number", lambda v: type(v) in (int, float)),
    "bool": ("true or false", lambda v: type(v) is bool),
    "str": ("a text", lambda v: type(v) is str),
}


def is_argument(key: str) -> bool:
    """Whether a key of a node with `_target_` is an argument of it."""
    return key not in OWN_TRAINER_KEYS and not key.rpartition(".")[2].startswith("_")


def count_devices(devices: Any) -> int | None:
    """How many processes a value of trainer.devices asks for; None for all that there are, which torch knows."""
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    return devices if isinstance(devices, int) and devices > 0 else None


def rule_from_annotation(annotation: ast.expr | None) -> Rule | None:
    """What an annotation allows; None when it says nothing about plain values."""
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
    if name in ("Sequence", "list", "tuple"):
        first = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
        item = rule_from_annotation(first)
        if item is not None:
            plural = {"an integer": "integers", "a number": "numbers", "a text": "texts"}.get(item[0], item[0])
            return f"a list of {plural}", lambda v: isinstance(v, list | tuple) and all(map(item[1], v))
    return None
