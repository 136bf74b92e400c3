"""Rules for values: what they say and what they allow. `gantry.config.key_rules` binds them to keys."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

MAX_NAME_BYTES = 255  # of one name in a path, on all common file systems
MAX_PATH_BYTES = 4096

Rule = tuple[str, Callable[[Any], bool]]
"""`<key> must be <text>`, and the test: it is given plain values, and a TypeError in it counts as False."""


def integer_at_least(least: int) -> Rule:
    """Allow an integer from `least` on."""
    return f"an integer of at least {least}", lambda v: type(v) is int and v >= least


def integer_between(least: int, most: int) -> Rule:
    """Allow an integer from `least` to `most`."""
    return f"an integer from {least} to {most}", lambda v: type(v) is int and least <= v <= most


def number_at_least(least: float) -> Rule:
    """Allow a number from `least` on."""
    return f"a number of at least {least:g}", lambda v: type(v) in (int, float) and v >= least


def number_in(low: float, high: float, text: str) -> Rule:
    """Allow a number from `low` to `high`, both of which `text` may exclude: `in [0, 1)`."""
    low_open, high_open = text.split()[1][0] == "(", text[-1] == ")"
    return (
        f"a number {text}",
        lambda v: (
            type(v) in (int, float) and (low < v if low_open else low <= v) and (v < high if high_open else v <= high)
        ),
    )


def number_above(bound: float) -> Rule:
    """Allow a number above a bound."""
    return f"a number above {bound:g}", lambda v: type(v) in (int, float) and v > bound


def one_of(*choices: Any) -> Rule:
    """Allow these values, as YAML has them."""
    return f"one of {', '.join(map(format_value, choices))}", lambda v: any(
        type(v) is type(c) and v == c for c in choices
    )


def list_of(rule: Rule, plural: str) -> Rule:
    """Allow a list whose items keep a rule."""
    return f"a list of {plural}", lambda v: isinstance(v, list) and all(map(rule[1], v))


def or_null(rule: Rule) -> Rule:
    """Allow null beside what a rule allows."""
    return f"{rule[0]} or null", lambda v: v is None or rule[1](v)


def is_part(value: Any) -> bool:
    """Return True for a dict that describes an object."""
    return isinstance(value, dict) and "_target_" in value


def or_part(rule: Rule, meaning: str) -> Rule:
    """Allow a part, which means something else, beside what a rule allows."""
    return f"{rule[0]}, or {meaning}", lambda v: is_part(v) or rule[1](v)


def is_left_out(value: Any) -> bool:
    """Return True for what stands in the place of a callback or a logger that is not wanted: null or false."""
    return value is None or value is False


def _is_shape(value: Any) -> bool:
    return value == [2] or (len(value) == 3 and all(type(side) is int and side >= 1 for side in value))


def _is_betas(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(b) in (int, float) and 0 <= b < 1 for b in value)


def _is_path(value: Any) -> bool:
    """Return True for a text that a file system takes as a path."""
    is_text = isinstance(value, str) and 0 < len(value) < MAX_PATH_BYTES and "\0" not in value
    return is_text and all(len(os.fsencode(name)) <= MAX_NAME_BYTES for name in value.split("/"))


BOOL_RULE: Rule = ("true or false", lambda v: type(v) is bool)
DICT_RULE: Rule = ("a dict", lambda v: isinstance(v, dict))
PART_RULE: Rule = ("a dict with _target_", is_part)
TEXT_RULE: Rule = ("text", lambda v: isinstance(v, str))
PATH_RULE: Rule = ("a path", _is_path)
SEED_RULE: Rule = integer_at_least(0)
SHAPE_RULE: Rule = ("[channels, height, width] or [2]", _is_shape)
BETAS_RULE: Rule = ("two numbers in [0, 1)", _is_betas)

MAX_INTEGER = 2**63 - 1
NUMBER_RULES: dict[type, Rule] = {  # of every number, wherever it stands
    int: (f"an integer of at most {MAX_INTEGER}", lambda v: abs(v) <= MAX_INTEGER),
    float: ("a finite number", math.isfinite),
}


def _is_dotted_name(value: Any) -> bool:
    return isinstance(value, str) and "." in value and all(name.isidentifier() for name in value.split("."))


CONVERSIONS = ("all", "partial", "object")  # they differ for structured configurations alone, of which there are none

INSTANTIATION_RULES: dict[str, Rule] = {  # Hydra's keys of a part; all others are arguments
    "_target_": ("the dotted name of a class or a function", _is_dotted_name),
    "_args_": ("a list", lambda v: isinstance(v, list)),
    "_convert_": ("all, partial or object (parts get plain lists and dicts)", lambda v: v in CONVERSIONS),
    "_partial_": BOOL_RULE,
    "_recursive_": BOOL_RULE,
}
OUR_PACKAGES = ("gantry", "torch", "lightning", "optuna")  # whose parts the rules by key are made for


def is_argument(key: str) -> bool:
    """Return True if a key of a node with `_target_` is an argument of the target."""
    return key.rpartition(".")[2] not in INSTANTIATION_RULES


MAX_VALUE_LENGTH = 200  # of a value in a message


def format_value(value: Any) -> str:
    """Return a plain value as YAML has it: null, true. A long one is cut off, an empty text is `nothing`."""
    if isinstance(value, bool):
        return str(value).lower()
    if value == "":
        return "nothing"
    text = "null" if value is None else str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}... ({len(text):,} characters)"


def count_devices(devices: Any) -> int | None:
    """Return the number of processes that trainer.devices asks for; None for all that torch can find."""
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    return devices if isinstance(devices, int) and devices > 0 else None
