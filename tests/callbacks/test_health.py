"""A broken run ends in time, names what broke, and leaves whole checkpoints; with skip it goes on."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from gantry.callbacks.checkpoints import CheckpointWriter
from gantry.callbacks.export import GeneratorExporter
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.callbacks.health import HealthCheck
from gantry.errors import RunError
from gantry.losses import adversarial, penalties
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Update
from gantry.nets import mlp
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim
from stubs import RecordingLogger

N, N_CRITIC, TURNS = 8, 3, 20


class ActsEvery(GanCallback):
    """A callback with an interval."""

    def __init__(self, every: int) -> None:
        self.every = every


class OtherEvery(Callback):
    """A callback of the user, whose `every` is nobody else's business."""

    def __init__(self, every: int) -> None:
        self.every = every


class Penalty:
    """The gradient penalty, but `value` at some calls; one call is one update of D."""

    def __init__(self, value: float, *calls: int) -> None:
        self.value, self.calls, self.count = value, calls, 0

    def __call__(self, update: Update) -> Tensor:
        self.count += 1
        penalty = penalties.gradient_penalty(update)
        return penalty * self.value if self.count in self.calls else penalty


def fit(penalty: Any, *callbacks: Any, turns: int = TURNS, folder: Path | None = None) -> tuple[GAN, RecordingLogger]:
    torch.manual_seed(0)
    G = mlp.Generator((2,), 3, hidden=[8], norm="none", activation="relu")
    D = mlp.Discriminator((2,), hidden=[8], norm="none")
    terms = {"gp": Term(penalty, weight=10.0)}
    loss = Objective(adversarial.wasserstein_d, adversarial.wasserstein_g, terms, n_critic=N_CRITIC)
    adam = [lambda parameters: torch.optim.Adam(parameters, lr=1e-2, fused=True) for _ in range(2)]
    gan = GAN(G, D, loss, Optim(*adam), Ema(0.05), turns=turns, batch_size=N, seed=0)
    logger = RecordingLogger()
    trainer = Trainer(
        accelerator="cpu", max_steps=turns, max_epochs=-1, logger=logger, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[*callbacks], default_root_dir=folder,
    )  # fmt: skip
    x = torch.rand(N_CRITIC, N, 2)
    data = [(x, torch.zeros(N_CRITIC, N, dtype=torch.int64))] * turns
    trainer.fit(gan, train_dataloaders=torch.utils.data.DataLoader(data, batch_size=None))  # type: ignore[arg-type]
    return gan, logger


def turn_of(path: Path) -> int:
    state = torch.load(path, weights_only=True)
    assert all(value.isfinite().all() for value in state["state_dict"].values())
    return state["gan"]["turn"]


def test_a_healthy_run_is_left_alone() -> None:
    assert fit(penalties.gradient_penalty, HealthCheck("run", patience=7))[0].turn == TURNS


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_term_and_its_turn_are_named_and_the_last_whole_state_is_kept(tmp_path: Path, bad: float) -> None:
    """Update 22 of D is the first of three of turn 8, and by the end of it all losses are NaN."""
    checkpoints = CheckpointWriter(str(tmp_path), every=3)
    with pytest.raises(RunError, match=rf"^loss/D/gp is {bad} at turn 8, D\.\S+weight is nan by turn 9; ") as caught:
        fit(Penalty(bad, 22), HealthCheck("run", patience=10), checkpoints)
    assert "callbacks.health.skip=true" in str(caught.value)
    assert turn_of(tmp_path / "last.ckpt") == 6
    assert turn_of(tmp_path / "before.ckpt") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.ckpt", "last.ckpt"]


@pytest.mark.parametrize(("patience", "end"), [(1, 8), (5, 10), (100, 20)])
def test_it_ends_within_patience(patience: int, end: int) -> None:
    with pytest.raises(RunError, match=f"at turn 8, .* by turn {end};"):
        fit(Penalty(math.nan, 22), HealthCheck("run", patience=patience))


def test_it_looks_before_another_callback_acts() -> None:
    with pytest.raises(RunError, match=r"at turn 8, .* by turn 12;"):
        fit(Penalty(math.nan, 22), HealthCheck("run", patience=100), ActsEvery(every=12))


def test_an_interval_of_a_callback_of_the_user_changes_nothing() -> None:
    with pytest.raises(RunError, match=r"at turn 8, .* by turn 20;"):
        fit(Penalty(math.nan, 22), HealthCheck("run", patience=100), OtherEvery(every=12))


def test_a_run_that_ends_early_is_looked_at_too() -> None:
    class Stop(GanCallback):
        def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
            trainer.should_stop = gan.turn == 11

    with pytest.raises(RunError, match="by turn 11;"):
        fit(Penalty(math.nan, 22), HealthCheck("run", patience=100), Stop())


def test_skipped_updates_leave_no_trace_but_their_count() -> None:
    """The same as a run without them: three updates of D in turn 8, whose G still moves."""
    health = HealthCheck("run", patience=5, skip=True)
    gan, logger = fit(Penalty(math.nan, 22, 23, 24), health)
    assert gan.turn == TURNS
    assert gan.run_state.num_skipped == 3
    assert logger.rows == [(10, {"health/skipped": 3, "turn": 10, "kimg": pytest.approx(0.24)})]
    assert health.state_dict() == {"in_a_row": 0, "skipped": 3, "told": 3}


def test_a_skipped_update_moves_nothing() -> None:
    seen: list[dict[str, Tensor]] = []

    class Watch(GanCallback):
        def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
            state = {"D": gan.D.state_dict(), "optimizer": trainer.optimizers[1].state_dict()["state"]}
            seen.append(copy.deepcopy(state))

    fit(Penalty(math.inf, 22, 23, 24), HealthCheck("run", patience=5, skip=True), Watch())
    torch.testing.assert_close(seen[7], seen[6], rtol=0, atol=0)
    assert any(not torch.equal(seen[8]["D"][name], value) for name, value in seen[7]["D"].items())


def test_a_run_that_skips_in_every_turn_ends() -> None:
    calls = range(19, 1000)
    with pytest.raises(RunError, match="an update was skipped in each of the last 5 turns, up to turn 11"):
        fit(Penalty(math.nan, *calls), HealthCheck("run", patience=5, skip=True), ActsEvery(every=11))


def test_without_it_a_broken_state_is_not_written_either(tmp_path: Path) -> None:
    fit(Penalty(math.nan, 22), CheckpointWriter(str(tmp_path), every=6))
    assert turn_of(tmp_path / "last.ckpt") == 6
    broken: Any = type("Gan", (), {"G_ema": nn.Linear(1, 1), "turn": 1})()
    broken.G_ema.weight.data.fill_(math.nan)
    GeneratorExporter(str(tmp_path), {}).save(type("Trainer", (), {"is_global_zero": True})(), broken, "last")
    assert not (tmp_path / "generator").exists()
