"""When the hooks of a callback are called, and on which rank."""

from typing import Any

import pytest

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


def test_checkpoints_keep_the_state_of_callbacks_under_the_names_that_they_always_had() -> None:
    keys = {Evaluator: "Evaluate", ScalarMonitor: "Scalars", HealthCheck: "Health"}
    assert {kind: kind.__new__(kind).state_key for kind in keys} == keys
