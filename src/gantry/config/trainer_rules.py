"""The rules of `trainer`, the arguments of Lightning's trainer: for many of which Gantry has its own."""

from typing import Any

from gantry.config.rules import BOOL_RULE, PART_RULE, Rule, integer_at_least, is_part

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")  # those that need no scaled loss
PRECISION_SPELLINGS = (*PRECISIONS, "32", "bf16", "64", 32, 64, None)  # None: Lightning's default


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(type(v) is int and v >= 0 for v in value) and len(set(value)) == len(value)
    return value == "auto" or (type(value) is int and (value == -1 or value >= 1))


DEVICES_RULE: Rule = (
    "an integer of at least 1, -1 or auto for all, or a list of different device numbers",
    _is_devices,
)


def _use_instead(remedy: str, *harmless: Any) -> Rule:
    return f"left out: {remedy}", lambda v: any(type(v) is type(value) and v == value for value in (None, *harmless))


TRAINER_RULES: dict[str, Rule] = {  # Lightning's words for what Gantry has its own
    "accelerator": ("cpu, cuda or mps (as in trainer=cpu, gpu, mps)", lambda v: v in ("cpu", "cuda", "mps")),
    "devices": DEVICES_RULE,
    "strategy": (f"auto or {PART_RULE[0]}, as in trainer=ddp", lambda v: v == "auto" or is_part(v)),
    "num_nodes": integer_at_least(1),
    "precision": (f"one of {', '.join(PRECISIONS)}", lambda v: v in PRECISION_SPELLINGS),
    "max_epochs": ("-1: turns is the budget", lambda v: type(v) is int and v == -1),
    "num_sanity_val_steps": ("0: callbacks.evaluate measures", lambda v: type(v) is int and v == 0),
    "use_distributed_sampler": ("false: data shares the images itself", lambda v: v is False),
    "enable_checkpointing": ("false: callbacks.checkpoints writes them", lambda v: v is False),
    "enable_progress_bar": BOOL_RULE,
    "enable_model_summary": BOOL_RULE,
    "deterministic": ("true, false, warn or null", lambda v: v in (True, False, "warn", None) and type(v) is not int),
    "profiler": (
        f"{PART_RULE[0]}, simple, advanced or null",
        lambda v: v in ("simple", "advanced", None) or is_part(v),
    ),
    "gradient_clip_val": _use_instead("optim.clip bounds gradients"),
    "gradient_clip_algorithm": _use_instead("optim.clip bounds the norm of gradients"),
    "accumulate_grad_batches": _use_instead("optim.accumulate computes a batch in parts", 1),
    "sync_batchnorm": _use_instead("hardware.sync_batchnorm does it", False),
    "limit_train_batches": _use_instead("turns is the budget, data.limit the number of images"),
    "overfit_batches": _use_instead("debug=overfit trains on few images", 0, 0.0),
    "fast_dev_run": _use_instead("debug=fast runs two turns", False),
    **dict.fromkeys(("min_epochs", "min_steps", "max_time"), _use_instead("turns is the budget")),
    **dict.fromkeys(
        ("limit_val_batches", "limit_test_batches", "limit_predict_batches"),
        _use_instead("metrics.num_samples says how much is scored"),
    ),
    **dict.fromkeys(
        ("val_check_interval", "check_val_every_n_epoch"), _use_instead("callbacks.evaluate.every is the interval")
    ),
    "log_every_n_steps": _use_instead("callbacks.scalars.every is the interval"),
    "logger": _use_instead("loggers are in the group logger"),
    "callbacks": _use_instead("callbacks are in the group callbacks"),
    "reload_dataloaders_every_n_epochs": _use_instead("there are no epochs", 0),
    "barebones": _use_instead("it would leave out callbacks and loggers", False),
    "model_registry": _use_instead("generators are in the folder of the run"),
    "enable_autolog_hparams": _use_instead("the whole configuration is logged", True),
}
