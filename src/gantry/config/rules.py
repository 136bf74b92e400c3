"""Rules for single values, each bound to its full key, such as data.batch_size."""

from collections.abc import Callable, Sequence
from typing import Any

Rule = tuple[str, Callable[[Any], bool]]
"""`<key> must be <text>`, and the test: it is given plain values, and a TypeError in it counts as False."""


def integer_at_least(least: int) -> Rule:
    """Allow an integer from `least` on."""
    return f"an integer of at least {least}", lambda v: type(v) is int and v >= least


def number_at_least(least: float) -> Rule:
    """Allow a number from `least` on."""
    return f"a number of at least {least:g}", lambda v: type(v) in (int, float) and v >= least


def or_null(rule: Rule) -> Rule:
    """Allow null beside what a rule allows."""
    return f"{rule[0]} or null", lambda v: v is None or rule[1](v)


def is_part(value: Any) -> bool:
    """Return True for a dict that describes an object."""
    return isinstance(value, dict) and "_target_" in value


def is_left_out(value: Any) -> bool:
    """Return True for what stands in the place of a callback or a logger that is not wanted: null or false."""
    return value is None or value is False


HARDWARE_SWITCHES = ("sync_batchnorm", "channels_last", "tf32", "compile", "capture")

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")  # those that need no scaled loss
PRECISION_SPELLINGS = (*PRECISIONS, "32", "bf16", "64", 32, 64, None)  # None: Lightning's default


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(type(v) is int and v >= 0 for v in value) and len(set(value)) == len(value)
    return value == "auto" or (type(value) is int and (value == -1 or value >= 1))


def _is_shape(value: Any) -> bool:
    return value == [2] or (len(value) == 3 and all(type(side) is int and side >= 1 for side in value))


BOOL_RULE: Rule = ("true or false", lambda v: type(v) is bool)
DICT_RULE: Rule = ("a dict", lambda v: isinstance(v, dict))
PART_RULE: Rule = ("a dict with _target_", is_part)
BETAS_RULE: Rule = ("two numbers in [0, 1)", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v))
DEVICES_RULE: Rule = (
    "an integer of at least 1, -1 or auto for all, or a list of different device numbers",
    _is_devices,
)

PERIODIC_CALLBACKS = ("scalars", "evaluate", "critic_gap", "samples", "checkpoints")  # they have a key `every`

KEY_RULES: dict[str, Rule] = {  # by full key; * is any one name
    "turns": integer_at_least(1),
    "seed": integer_at_least(0),
    "show": BOOL_RULE,
    "recipe.lr": number_at_least(0),
    "recipe.betas": BETAS_RULE,
    "data.shape": ("[channels, height, width] or [2]", _is_shape),
    "data.num_classes": integer_at_least(0),
    "data.batch_size": integer_at_least(1),
    "data.limit": or_null(integer_at_least(1)),
    "model.z_dim": integer_at_least(1),
    "model.*.z_dim": integer_at_least(1),
    "model.*.num_classes": integer_at_least(0),
    "loss.n_critic": integer_at_least(1),
    "loss.d_terms.*.weight": number_at_least(0),
    "loss.d_terms.*.every": integer_at_least(1),
    "loss.g_terms.*.weight": number_at_least(0),
    "loss.g_terms.*.every": integer_at_least(1),
    "optim.accumulate": integer_at_least(1),
    "optim.*.lr": number_at_least(0),
    "optim.*.betas": BETAS_RULE,
    "optim.*.weight_decay": number_at_least(0),
    "ema.half_life": number_at_least(0),
    "metrics.num_samples": integer_at_least(2),
    "metrics.seed": integer_at_least(0),
    "metrics.batch_size": integer_at_least(1),
    "metrics.scores.*.seed": integer_at_least(0),
    "metrics.report.num_samples": integer_at_least(2),
    "metrics.report.seed": integer_at_least(0),
    "metrics.report.scores.*.seed": integer_at_least(0),
    "num_samples": or_null(integer_at_least(2)),
    **dict.fromkeys((f"callbacks.{name}.every" for name in PERIODIC_CALLBACKS), integer_at_least(1)),
    "callbacks.critic_gap.num_samples": integer_at_least(2),
    "callbacks.critic_gap.batch_size": integer_at_least(1),
    "callbacks.critic_gap.seed": integer_at_least(0),
    "callbacks.samples.seed": integer_at_least(0),
    "callbacks.health.patience": integer_at_least(1),
    "trainer.precision": (f"one of {', '.join(PRECISIONS)}", lambda v: v in PRECISION_SPELLINGS),
    "trainer.devices": DEVICES_RULE,
    "trainer.num_nodes": integer_at_least(1),
    **dict.fromkeys((f"hardware.{name}" for name in HARDWARE_SWITCHES), BOOL_RULE),
}


def find_key_rule(key: str) -> Rule | None:
    """Return the rule of a full key, None if it has none."""
    names = key.split(".")
    for pattern, rule in KEY_RULES.items():
        wanted = pattern.split(".")
        if len(wanted) == len(names) and all(name in ("*", part) for name, part in zip(wanted, names)):
            return rule
    return None


PART_KEYS = (  # each must be a part; a further name counts where the part before it is one of Gantry's
    *("data", "data.source", "model.G", "model.D", "loss", "loss.d", "loss.g", "augment", "ema", "metrics", "trainer"),
    *("optim", "optim.G", "optim.D", "optim.schedule"),
)
OPTIONAL_PART_KEYS = ("metrics.extractor", "metrics.report")
PARTS_BY_NAME: dict[str, Rule] = {  # keys of dicts of parts, with the rule of an entry
    **dict.fromkeys(("loss.d_terms", "loss.g_terms"), (f"a weight or {PART_RULE[0]}", is_part)),
    **dict.fromkeys(("metrics.scores", "metrics.report.scores"), (f"true, false or {PART_RULE[0]}", is_part)),
    **dict.fromkeys(
        ("callbacks", "logger"), (f"{PART_RULE[0]}, null or false", lambda v: is_part(v) or is_left_out(v))
    ),
}

CONVERSIONS = ("all", "partial", "object")  # they differ for structured configurations alone, of which there are none

INSTANTIATION_RULES: dict[str, Rule] = {  # Hydra's keys of a part; all others are arguments
    "_target_": ("the dotted name of a class or a function", lambda v: isinstance(v, str) and all(v.split("."))),
    "_args_": ("a list", lambda v: isinstance(v, list)),
    "_convert_": ("all, partial or object (parts get plain lists and dicts)", lambda v: v in CONVERSIONS),
    "_partial_": BOOL_RULE,
    "_recursive_": BOOL_RULE,
}
OUR_PACKAGES = ("gantry", "torch", "lightning", "optuna")  # whose parts the rules by key are made for


def is_argument(key: str) -> bool:
    """Return True if a key of a node with `_target_` is an argument of the target."""
    return key.rpartition(".")[2] not in INSTANTIATION_RULES


def format_value(value: Any) -> str:
    """Return a plain value as YAML has it: null, true."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def count_devices(devices: Any) -> int | None:
    """Return the number of processes that trainer.devices asks for; None for all that torch can find."""
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    return devices if isinstance(devices, int) and devices > 0 else None
