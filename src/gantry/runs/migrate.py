"""Configurations of older versions, read in the names and keys of this one.

A version of the project is marked in config.yaml, which has had no mark before version 2. Between 1 and 2 the modules
moved to rooms of their own, most classes got plainer names, the trainer's switches of speed became `hardware`, and
`model.lr_scale` went: its product with `recipe.lr` is `recipe.lr` now. `data.limit` is new.
A run of `model=resnet` keeps the width of its G, which was 256 and is 128 today.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gantry.errors import UserError

CONFIG_VERSION, VERSION_KEY = 2, "config_version"

HARDWARE_SWITCHES = ("sync_batchnorm", "channels_last", "tf32", "compile", "capture")  # once keys of the trainer

RENAMED_TARGETS = {
    "gantry.augment.none.identity": "torch.nn.Identity",
    "gantry.callbacks.checkpoints.Checkpoints": "gantry.callbacks.checkpoints.CheckpointWriter",
    "gantry.callbacks.critic_gap.CriticGap": "gantry.callbacks.overfitting.OverfittingMonitor",
    "gantry.callbacks.curves.Curves": "gantry.callbacks.curves.CurvePlotter",
    "gantry.callbacks.evaluate.Evaluate": "gantry.callbacks.evaluate.Evaluator",
    "gantry.callbacks.export.Export": "gantry.callbacks.export.GeneratorExporter",
    "gantry.callbacks.health.Health": "gantry.callbacks.health.HealthCheck",
    "gantry.callbacks.interrupts.Interrupts": "gantry.callbacks.signals.SignalHandler",
    "gantry.callbacks.progress.Progress": "gantry.callbacks.progress.ProgressReporter",
    "gantry.callbacks.pruning.Pruning": "gantry.sweeps.search.pruning.TrialPruner",
    "gantry.callbacks.report.Report": "gantry.callbacks.report.FinalReport",
    "gantry.callbacks.samples.Samples": "gantry.callbacks.samples.SampleWriter",
    "gantry.callbacks.scalars.Scalars": "gantry.callbacks.scalars.ScalarMonitor",
    "gantry.data.folder.Folder": "gantry.data.folder.ImageFolder",
    "gantry.data.module.DataModule": "gantry.data.datamodule.DataModule",
    "gantry.data.stacked.Stacked": "gantry.data.digits.StackedDigits",
    "gantry.data.torchvision_sets.TorchvisionSet": "gantry.data.torchvision_sets.TorchvisionDataset",
    "gantry.data.toys.grid": "gantry.data.toys.make_grid",
    "gantry.data.toys.ring": "gantry.data.toys.make_ring",
    "gantry.losses.objective.Term": "gantry.losses.term.Term",
    "gantry.metrics.dinov2.Dinov2": "gantry.features.dinov2.Dinov2",
    "gantry.metrics.evaluation.Evaluation": "gantry.evaluation.evaluation.Evaluation",
    "gantry.metrics.evaluation.Report": "gantry.evaluation.evaluation.ReportSettings",
    "gantry.metrics.frechet.Frechet": "gantry.metrics.frechet.FrechetDistance",
    "gantry.metrics.inception.Inception": "gantry.features.inception.Inception",
    "gantry.metrics.infinity.FrechetInfinity": "gantry.metrics.frechet_infinity.FrechetInfinity",
    "gantry.metrics.manifold.Manifold": "gantry.metrics.precision_recall.PrecisionRecall",
    "gantry.metrics.modes.ClassModes": "gantry.metrics.mode_coverage.ClassModeCoverage",
    "gantry.metrics.modes.point_modes": "gantry.metrics.mode_coverage.make_mixture_mode_coverage",
    "gantry.metrics.own.Own": "gantry.features.custom.CustomExtractor",
    "gantry.metrics.per_class.FrechetPerClass": "gantry.metrics.frechet_per_class.FrechetPerClass",
    "gantry.metrics.small_net.load_small_net": "gantry.features.small_classifier.load_small_net",
    "gantry.metrics.stacked.Stacked": "gantry.features.small_classifier.StackedClassifier",
    "gantry.nets.sides.doublings": "gantry.nets.resolution.factor_side",
    "gantry.runs.csv_logger.CsvLogger": "gantry.loggers.csv_logger.CsvLogger",
    "gantry.runs.mlflow_logger.MlflowLogger": "gantry.loggers.mlflow_logger.MlflowLogger",
    "gantry.runs.tensorboard_logger.TensorBoardLogger": "gantry.loggers.tensorboard_logger.TensorBoardLogger",
    "gantry.runs.wandb_logger.WandbLogger": "gantry.loggers.wandb_logger.WandbLogger",
    "gantry.training.schedules.constant": "gantry.schedules.constant",
    "gantry.training.schedules.cosine": "gantry.schedules.cosine",
    "gantry.training.schedules.linear": "gantry.schedules.linear",
    "gantry.training.parallel.Replicas": "gantry.distributed.strategy.ManualDDPStrategy",
}


NEW_ARGUMENTS: dict[str, dict[str, Any]] = {  # of parts, with the values that parts without them had
    "gantry.data.datamodule.DataModule": {"limit": None},
    "gantry.losses.objective.Objective": {"g_batch": 1, "fake_classes": "real", "top_k": 1.0},
    "gantry.nets.dcgan.Discriminator": {"head": "projection"},
    "gantry.nets.dcgan.Generator": {"condition": "concat"},
    "gantry.nets.mlp.Discriminator": {"head": "projection"},
    "gantry.nets.mlp.Generator": {"condition": "concat"},
    "gantry.nets.resnet.Discriminator": {"head": "projection"},
    "gantry.nets.resnet.Generator": {"spectral": False, "class_output": True},
}


def migrate_config(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration as this version writes it, without its mark. Raises UserError for a newer one."""
    version = stored.get(VERSION_KEY, 1)
    if type(version) is not int or not 1 <= version <= CONFIG_VERSION:
        raise UserError(f"{VERSION_KEY} must be at most {CONFIG_VERSION}, what this version reads, got {version}")
    config = add_arguments(rename_targets({key: value for key, value in stored.items() if key != VERSION_KEY}))
    return _pin_resnet_width(_migrate_from_1(config) if version == 1 else config)


def rename_targets(value: Any) -> Any:
    """Return plain values with today's name for every name of a part."""
    if isinstance(value, Mapping):
        renamed = {key: rename_targets(inner) for key, inner in value.items()}
        if value.get("_target_") == "gantry.augment.none.identity":  # once a function, today a class
            renamed.pop("_partial_", None)
        return renamed
    if isinstance(value, list):
        return [rename_targets(inner) for inner in value]
    return RENAMED_TARGETS.get(value, value) if isinstance(value, str) else value


def add_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the arguments that its parts did not have when it was stored."""
    nodes = [config.get("data"), config.get("loss"), *(config.get("model") or {}).values()]
    for node in nodes:
        for name, value in NEW_ARGUMENTS.get(str(node.get("_target_")), {}).items() if isinstance(node, dict) else ():
            node.setdefault(name, value)
    return config


def _migrate_from_1(config: dict[str, Any]) -> dict[str, Any]:
    keys = ("trainer", "model", "recipe", "run")
    trainer, model, recipe, run = (config.get(key) or {} for key in keys)
    if trainer:
        config["hardware"] = {name: trainer.pop(name) for name in HARDWARE_SWITCHES if name in trainer}
    scale = model.pop("lr_scale", 1)
    if "lr" in recipe:
        recipe["lr"] *= scale
    if "overrides" in run:
        run["overrides"] = _migrate_overrides(run["overrides"], recipe.get("lr"))
    return config


def _migrate_overrides(overrides: Sequence[str], lr: float | None) -> list[str]:
    """Return the overrides that give the same configuration today; the learning rate no longer follows the model."""
    split = [re.fullmatch(r"([+~]*)([^=]*)(.*)", override, re.DOTALL) for override in overrides]
    parts = [match.groups() for match in split if match]
    moved = {f"trainer.{name}": f"hardware.{name}" for name in HARDWARE_SWITCHES}
    new_overrides = [
        sign + moved.get(key, key) + re.sub(r"gantry[.\w]+", _rename_match, value)
        for sign, key, value in parts
        if key not in ("model.lr_scale", "recipe.lr")
    ]
    return new_overrides if lr is None else [*new_overrides, f"recipe.lr={lr}"]


def _pin_resnet_width(config: dict[str, Any]) -> dict[str, Any]:
    """Add an override with the width of G to those of a run that was started with `model=resnet`."""
    run, G = config.get("run") or {}, (config.get("model") or {}).get("G") or {}
    overrides = run.get("overrides") or []
    if "model=resnet" not in overrides or "width" not in G or any("model.G.width=" in word for word in overrides):
        return config
    return config | {"run": run | {"overrides": [*overrides, f"model.G.width={G['width']}"]}}


def _rename_match(match: re.Match[str]) -> str:
    return RENAMED_TARGETS.get(match.group(), match.group())
