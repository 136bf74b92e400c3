"""When the hooks of a callback are called, and on which rank."""

from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.trainer.call import _call_callbacks_load_state_dict, _call_callbacks_state_dict

from fake_points_run import make_points_evaluation
from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback
from gantry.callbacks.health import HealthCheck
from gantry.callbacks.scalars import ScalarMonitor
from stubs import TinyGan, call_hooks, make_trainer_stub

HOOKS = ("setup", "training_start", "turn_start", "turn_end", "training_end", "run_end", "teardown")


class HookRecorder(GanCallback):
    """Remembers its hooks with the turn at which they were called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        for name in HOOKS:
            setattr(self, f"on_{name}", lambda _, gan, *rest, name=name: self.calls.append((name, gan.turn, *rest)))


class RankZeroRecorder(HookRecorder):
    rank_zero_only = True


def record_hooks(recorder: HookRecorder, rank: int = 0) -> list[Any]:
    trainer = make_trainer_stub(rank=rank)
    recorder.setup(trainer, TinyGan(), "fit")  # type: ignore[arg-type]
    call_hooks(recorder, trainer, TinyGan(), 2, losses=lambda turn: {"loss/D": turn})
    recorder.on_fit_end(trainer, TinyGan())  # type: ignore[arg-type]
    return recorder.calls


def test_each_hook_of_lightning_calls_the_typed_one_with_the_outputs_of_the_turn() -> None:
    assert record_hooks(HookRecorder()) == [
        ("setup", 0),
        ("training_start", 0),
        ("turn_start", 0),
        ("turn_end", 1, {"losses": {"loss/D": 1}}),
        ("turn_start", 1),
        ("turn_end", 2, {"losses": {"loss/D": 2}}),
        ("training_end", 2),
        ("teardown", 2),
        ("run_end", 0),
    ]


@pytest.mark.parametrize(("recorder", "count"), [(HookRecorder(), 9), (RankZeroRecorder(), 0)])
def test_a_callback_for_rank_zero_alone_is_not_called_on_other_ranks(recorder: HookRecorder, count: int) -> None:
    assert len(record_hooks(recorder, rank=1)) == count
    assert len(record_hooks(type(recorder)(), rank=0)) == 9


def test_a_callback_without_an_interval_has_none() -> None:
    assert GanCallback().every == 0
    assert ScalarMonitor(5).every == 5


def test_checkpoints_of_earlier_versions_restore_renamed_callbacks() -> None:
    scalars, health, evaluator = ScalarMonitor(1), HealthCheck("run"), Evaluator(make_points_evaluation(), 1, "run")
    callbacks = [scalars, health, evaluator]
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=callbacks)
    states = {
        "Scalars": {"sums": {"loss/D": torch.tensor(3.0)}, "counts": {"loss/D": 2}, "seconds": 5.0},
        "Health": {"in_a_row": 1, "skipped": 4, "told": 3},
        "Evaluate": {"best": {"turn": 7, "scores": {"fd": 1.0}, "protocol": {}}},
    }
    _call_callbacks_load_state_dict(trainer, {"callbacks": states})
    assert (scalars.counts, scalars.previous_seconds) == ({"loss/D": 2}, 5.0)
    assert health.state_dict() == states["Health"]
    assert evaluator.state_dict() == states["Evaluate"]
    assert _call_callbacks_state_dict(trainer).keys() == states.keys()
