"""The rules of keys: which are parts, and what a value may be beyond the type that its signature gives it.

A key in a part that is not Gantry's has its signature alone.
"""

from collections.abc import Collection, Mapping
from typing import Any

from gantry.config.rules import (
    BETAS_RULE,
    BOOL_RULE,
    PART_RULE,
    PATH_RULE,
    SEED_RULE,
    SHAPE_RULE,
    TEXT_RULE,
    Rule,
    integer_at_least,
    integer_between,
    is_left_out,
    is_part,
    list_of,
    number_above,
    number_at_least,
    number_in,
    one_of,
    or_null,
    or_part,
)
from gantry.config.trainer_rules import TRAINER_RULES

PART_KEYS = ("data", "model.G", "model.D", "loss", "augment", "ema", "metrics", "trainer", "optim")
PARTS_BY_NAME: dict[str, Rule] = {  # keys of dicts of parts, with the rule of an entry
    **dict.fromkeys(("loss.d_terms", "loss.g_terms"), (f"a weight or {PART_RULE[0]}", is_part)),
    **dict.fromkeys(("metrics.scores", "metrics.report.scores"), (f"true, false or {PART_RULE[0]}", is_part)),
    **dict.fromkeys(
        ("callbacks", "logger"), (f"{PART_RULE[0]}, null or false", lambda v: is_part(v) or is_left_out(v))
    ),
}
NODE_KEYS = ("model", "recipe", "hardware", "run", "paths")  # dicts that are no parts
PROGRAM_ARGUMENTS = {  # of parts, which no configuration has
    "data": ("batches_per_turn", "seed"),
    "hydra.sweeper.sampler": ("space",),
}

HARDWARE_SWITCHES = ("sync_batchnorm", "channels_last", "tf32", "compile", "capture")
PERIODIC_CALLBACKS = ("scalars", "evaluate", "critic_gap", "samples", "checkpoints")  # they have a key `every`
FOLDER_KEYS = (
    *(f"callbacks.{name}.folder" for name in ("samples", "export", "health", "checkpoints", "curves", "report")),
    *("callbacks.evaluate.path", "logger.*.folder", "trainer.default_root_dir", "run.dir", "paths.*"),
)


def _is_text_or_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


COUNTS_RULE = list_of(integer_at_least(1), "integers of at least 1")
BATCHNORM_RULE = or_null(one_of("running", "standing", "batch"))
ARITHMETIC_RULE = or_null(one_of("float32", "tf32", "bf16"))
PACKAGES_RULE: Rule = ("names of packages, as in trust=[my_models]", lambda v: v is None or _is_text_or_texts(v))


def _is_bound(value: Any) -> bool:
    return value.keys() <= {"G", "D"} if isinstance(value, dict) else value is None or value > 0


BOUND_RULE: Rule = ("a number above 0 or null, or by net {G: 1, D: null}", _is_bound)

SCORE_RULES: dict[str, Rule] = {  # of settings of scores
    "seed": SEED_RULE,
    "subsets": integer_at_least(1),
    "subset_size": integer_at_least(2),
    "k": integer_at_least(1),
    "density_k": integer_at_least(1),
    "blocks": integer_at_least(2),
    "quantile": number_in(0, 1, "in (0, 1)"),
}

TRAIN_RULES: dict[str, Rule] = {  # by full key; * is any one name
    "turns": integer_at_least(1),
    "seed": SEED_RULE,
    "resume": or_null(PATH_RULE),
    "show": BOOL_RULE,
    "task": ("the name of a folder", lambda v: isinstance(v, str) and v not in ("", ".", "..") and "/" not in v),
    "tags": list_of(TEXT_RULE, "texts"),
    "run.group": or_null(TEXT_RULE),
    "run.auto_resume": BOOL_RULE,
    "recipe.lr": number_at_least(0),
    "recipe.betas": BETAS_RULE,
    "recipe.critic_batch_norm": BOOL_RULE,
    "model.name": TEXT_RULE,
    "model.conditional": BOOL_RULE,
    "model.sides": or_null(TEXT_RULE),
    "model.z_dim": integer_at_least(1),
    "model.attention": or_null(integer_at_least(1)),
    "model.*.attention": or_null(integer_at_least(1)),
    "model.*.spectral": BOOL_RULE,
    "model.*.class_output": BOOL_RULE,
    "model.*.small_factor": integer_at_least(1),
    "model.*.shared_dim": or_null(integer_at_least(1)),
    "model.*.hierarchical": BOOL_RULE,
    "model.*.eps": number_above(0),
    "model.*.shape": SHAPE_RULE,
    "model.*.z_dim": integer_at_least(1),
    "model.*.num_classes": integer_at_least(0),
    "model.*.width": integer_at_least(1),
    "model.*.max_width": integer_at_least(1),
    "model.*.hidden": COUNTS_RULE,
    "model.*.widths": COUNTS_RULE,
    "model.*.blocks": COUNTS_RULE,
    "model.*.group_size": integer_at_least(1),
    "model.*.embed_dim": integer_at_least(1),
    "model.*.w_dim": integer_at_least(1),
    "model.*.mapping_layers": integer_at_least(1),
    "model.*.group": integer_at_least(1),
    "model.*.mixing": number_in(0, 1, "in [0, 1]"),
    "model.*.clamp": or_null(number_above(0)),
    "loss.n_critic": integer_at_least(1),
    "loss.weight_clip": or_null(number_above(0)),
    "loss.g_batch": integer_at_least(1),
    "loss.fake_classes": one_of("real", "drawn"),
    "loss.top_k": or_part(number_in(0, 1, "in (0, 1]"), "a schedule"),
    "loss.d.real_label": number_in(0, 1, "in (0, 1]"),
    "loss.*.*.weight": or_part(number_at_least(0), "a schedule"),
    "loss.*.*.every": integer_at_least(1),
    **dict.fromkeys(("optim.clip", "optim.clip_value"), BOUND_RULE),
    **dict.fromkeys(("optim.clip.*", "optim.clip_value.*"), or_null(number_above(0))),
    "optim.beta2": or_null(or_part(number_in(0, 1, "in [0, 1)"), "a schedule")),
    "optim.accumulate": integer_at_least(1),
    "optim.*.lr": number_at_least(0),
    "optim.*.betas": BETAS_RULE,
    "optim.*.weight_decay": number_at_least(0),
    "optim.*.eps": number_at_least(0),
    "optim.*.momentum": number_at_least(0),
    "optim.*.alpha": number_in(0, 1, "in [0, 1]"),
    "optim.schedule.end": number_at_least(0),
    "ema.half_life": or_part(number_at_least(0), "a schedule"),
    "ema.ramp": or_null(number_above(0)),
    "augment.p": or_part(number_in(0, 1, "in [0, 1]"), "a schedule"),
    "augment.target": number_in(-1, 1, "in [-1, 1]"),
    "augment.kimg": number_above(0),
    "augment.interval": integer_at_least(1),
    "augment.batch_size": integer_at_least(1),
    "augment.color_strength": number_at_least(0),
    "augment.translation": number_in(0, 1, "in [0, 1]"),
    "augment.cutout": ("a number in [0, 1]", lambda v: type(v) is bool or 0 <= v <= 1),  # true or false in ADA's
    **dict.fromkeys((f"callbacks.{name}.every" for name in PERIODIC_CALLBACKS), integer_at_least(1)),
    "callbacks.critic_gap.num_samples": integer_at_least(2),
    "callbacks.critic_gap.batch_size": integer_at_least(1),
    "callbacks.critic_gap.seed": SEED_RULE,
    "callbacks.samples.seed": SEED_RULE,
    "callbacks.samples.rows": integer_between(1, 1000),
    "callbacks.samples.columns": integer_between(1, 1000),
    "callbacks.samples.keep": integer_at_least(2),
    "callbacks.health.patience": integer_at_least(1),
    "callbacks.progress.seconds": number_at_least(0),
    "callbacks.export.generator": PART_RULE,
    **dict.fromkeys(FOLDER_KEYS, PATH_RULE),
    **{f"trainer.{name}": rule for name, rule in TRAINER_RULES.items()},
    **dict.fromkeys((f"hardware.{name}" for name in HARDWARE_SWITCHES), BOOL_RULE),
}

SHARED_RULES: dict[str, Rule] = {  # of all commands
    "trust": PACKAGES_RULE,
    "data.shape": SHAPE_RULE,
    "data.num_classes": integer_at_least(0),
    "data.batch_size": integer_at_least(1),
    "data.limit": or_null(integer_at_least(1)),
    "data.source.train": integer_at_least(1),
    "data.source.test": integer_at_least(0),
    "metrics.num_samples": integer_at_least(2),
    "metrics.seed": SEED_RULE,
    "metrics.batch_size": integer_at_least(1),
    "metrics.cache": or_null(PATH_RULE),
    "metrics.weights": or_null(PATH_RULE),
    "metrics.reference": PATH_RULE,
    "metrics.report.num_samples": integer_at_least(2),
    "metrics.report.seed": SEED_RULE,
    **{f"metrics.scores.*.{name}": rule for name, rule in SCORE_RULES.items()},
    **{f"metrics.report.scores.*.{name}": rule for name, rule in SCORE_RULES.items()},
    "paths.*": PATH_RULE,
}

COMMAND_RULES: dict[str, dict[str, Rule]] = {  # by a key that the command alone has
    "turns": TRAIN_RULES,
    "checkpoint": {
        "num_samples": or_null(integer_at_least(2)),
        "seed": or_null(SEED_RULE),
        "batchnorm": BATCHNORM_RULE,
        "arithmetic": ARITHMETIC_RULE,
        "scores": or_null(
            ("names of scores, [frechet,manifold]", lambda v: isinstance(v, dict) or _is_text_or_texts(v))
        ),
        **dict.fromkeys(("run", "checkpoint", "samples", "reference"), or_null(PATH_RULE)),
        "log_to": or_null(TEXT_RULE),
        "device": TEXT_RULE,
        "output": PATH_RULE,
        "data.small_net": or_null(TEXT_RULE),
        "data.source": or_null(PART_RULE),
    },
    "which": {
        "run": or_null(PATH_RULE),
        "which": or_null(one_of("best", "last")),
        "what": TEXT_RULE,
        "n": integer_at_least(1),
        "seed": SEED_RULE,
        "class": ("a number, a name or null", lambda v: v is None or type(v) in (int, str)),
        "truncation": or_null(number_above(0)),
        "out": or_null(PATH_RULE),
        "log_to": or_null(TEXT_RULE),
        "device": TEXT_RULE,
    },
    "pictures": {"out": PATH_RULE, "pictures": integer_at_least(0)},
}


def list_key_rules(command_keys: Collection[str]) -> dict[str, Rule]:
    """Return the rules of the command whose configuration has these keys at the top."""
    own = next((rules for key, rules in COMMAND_RULES.items() if key in command_keys), {})
    return SHARED_RULES | own


def find_key_rule(rules: Mapping[str, Rule], key: str) -> Rule | None:
    """Return the rule of a full key, None if it has none."""
    if key in rules:
        return rules[key]
    names = key.split(".")
    wildcards = (p for p in rules if "*" in p and p.count(".") == len(names) - 1)
    matching = (p for p in wildcards if all(name in ("*", given) for name, given in zip(p.split("."), names)))
    return next((rules[pattern] for pattern in matching), None)
