"""The order in which callbacks must stand in the configuration."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from lightning import Callback

from compose_config import compose_config
from gantry.callbacks.checkpoints import CheckpointWriter
from gantry.callbacks.curves import CurvePlotter
from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.export import GeneratorExporter
from gantry.callbacks.gan_callback import GanCallback, check_order
from gantry.callbacks.health import HealthCheck
from gantry.callbacks.overfitting import OverfittingMonitor
from gantry.callbacks.progress import ProgressReporter
from gantry.callbacks.report import FinalReport
from gantry.callbacks.samples import SampleWriter
from gantry.callbacks.scalars import ScalarMonitor
from gantry.callbacks.signals import SignalHandler
from gantry.commands.train import build_trainer
from gantry.sweeps.search.pruning import TrialPruner


def instances(*kinds: type[Callback]) -> dict[str, Callback]:
    """Callbacks of some classes, without their arguments, under the name of the class."""
    return {kind.__name__: kind.__new__(kind) for kind in kinds}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ScalarMonitor, HealthCheck),
        (ScalarMonitor, ProgressReporter),
        (HealthCheck, Evaluator),
        (HealthCheck, OverfittingMonitor),
        (HealthCheck, SampleWriter),
        (HealthCheck, GeneratorExporter),
        (HealthCheck, CheckpointWriter),
        (Evaluator, GeneratorExporter),
        (Evaluator, CheckpointWriter),
        (Evaluator, CurvePlotter),
        (Evaluator, TrialPruner),
        (Evaluator, FinalReport),
        (SignalHandler, CheckpointWriter),
        (GeneratorExporter, FinalReport),
        (CheckpointWriter, FinalReport),
    ],
)
def test_one_must_come_before_the_other(first: type[Callback], second: type[Callback]) -> None:
    check_order(instances(first, second))
    with pytest.raises(
        ValueError, match=f"{second.__name__} before {first.__name__}$|{first.__name__} after {second.__name__}$"
    ):
        check_order(instances(second, first))


def make_callbacks(*names: str) -> Mapping[str, Callback]:
    kinds: dict[str, type[Callback]] = {
        "checkpoints": CheckpointWriter,
        "interrupts": SignalHandler,
        "mine": GanCallback,
    }
    kinds |= {"scalars": ScalarMonitor, "theirs": Callback}
    return {name: kinds[name].__new__(kinds[name]) for name in names}


def test_the_line_names_both_keys_and_both_classes() -> None:
    message = (
        r"^callbacks\.checkpoints must come after callbacks\.interrupts, got CheckpointWriter before SignalHandler$"
    )
    with pytest.raises(ValueError, match=message):
        check_order(make_callbacks("checkpoints", "interrupts"))
    rule = r"^callbacks\.scalars must come before callbacks\.mine"
    with pytest.raises(ValueError, match=f"{rule}, got ScalarMonitor after GanCallback$"):
        check_order(make_callbacks("mine", "theirs", "scalars"))


def test_callbacks_of_lightning_stand_where_they_like() -> None:
    check_order(make_callbacks("theirs", "scalars", "interrupts", "checkpoints"))


def test_a_subclass_stands_where_its_parent_must() -> None:
    class Mine(Evaluator):
        pass

    with pytest.raises(ValueError, match=r"callbacks\.FinalReport must come after callbacks\.Mine"):
        check_order(instances(FinalReport, Mine))


def test_the_trainer_is_built_with_the_default_order_and_with_no_wrong_one(tmp_path: Path) -> None:
    cfg = compose_config("logger=csv", f"run.dir={tmp_path}")
    build_trainer(cfg)
    cfg.callbacks = {key: cfg.callbacks[key] for key in reversed(list(cfg.callbacks))}
    with pytest.raises(ValueError, match=r"^callbacks\.\w+ must come after callbacks\.\w+, got \w+ before \w+$"):
        build_trainer(cfg)
