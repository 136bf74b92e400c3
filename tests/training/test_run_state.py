"""The part of the shared state that checkpoints store."""

from typing import Any

import torch

from gantry.losses import adversarial
from gantry.losses.objective import Objective
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim
from gantry.training.run_state import RunState
from stubs import TinyG


def make_gan() -> GAN:
    adam = [lambda parameters: torch.optim.Adam(parameters) for _ in range(2)]
    loss = Objective(adversarial.wasserstein_d, adversarial.wasserstein_g)
    return GAN(TinyG(), TinyG(), loss, Optim(*adam), Ema(0.05), turns=9, batch_size=4, seed=0)


def test_a_checkpoint_keeps_scores_and_skipped_updates_under_their_keys() -> None:
    gan, checkpoint = make_gan(), dict[str, Any]()
    gan.turn, gan.run_state = 5, RunState({"fid": 2.5}, scored_at=4, improved_at=3, interrupt_signal=15, num_skipped=7)
    gan.on_save_checkpoint(checkpoint)
    assert checkpoint == {"gan": {"turn": 5, "scores": {"fid": 2.5}, "scored_at": 4, "skipped": 7}}
    resumed = make_gan()
    resumed.on_load_checkpoint(checkpoint)
    assert (resumed.turn, resumed.run_state) == (5, RunState({"fid": 2.5}, scored_at=4, num_skipped=7))


def test_a_checkpoint_from_before_updates_could_be_skipped_loads() -> None:
    gan = make_gan()
    gan.on_load_checkpoint({"gan": {"turn": 5, "scores": {}, "scored_at": -1}})
    assert (gan.turn, gan.run_state) == (5, RunState())
