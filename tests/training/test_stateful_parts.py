"""Penalties and augmentations with state: on two ranks, in parts of a batch, saved, and in a skipped update."""

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gantry.distributed import collectives
from gantry.losses import adversarial
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Update
from gantry.schedules import Clock, linear
from gantry.training.gan import GAN
from small_gan import TURNS, make_batches, make_gan, make_nets, train
from spawn_ranks import run_on_ranks


class MeanMatching(nn.Module):
    """A penalty with state: the distance of the logits of fakes from a moving average of those of real images."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, update: Update) -> Tensor:
        update.scalars["size"] = collectives.all_gather(update.x_fake.abs().mean(1)).mean()
        return (update.fake.logits - self.mean).square()

    def observe(self, scalars: dict[str, Tensor]) -> None:
        self.mean.lerp_(scalars["logits/real"] + scalars["size"], 0.1)


class Brightening(nn.Module):
    """An augmentation with state: its strength follows the signs of D's logits and the time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("time", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.p + self.time)

    def observe(self, scalars: dict[str, Tensor]) -> None:
        self.p.add_(0.1 * scalars["logits/real_sign"])

    def set_clock(self, clock: Clock) -> None:
        self.time.fill_(clock.progress)


STATEFUL = Objective(
    d=adversarial.hinge_d,
    g=adversarial.hinge_g,
    d_terms={"matching": Term(MeanMatching(), 0.03, every=2)},
    n_critic=2,
    g_batch=2,
    fake_classes="drawn",
    top_k=partial(linear, start=1.0, end=0.5),
)
PARTS = replace(STATEFUL, top_k=1.0, fake_classes="real")


def make_stateful_gan(loss: Objective, **options: Any) -> GAN:
    """A GAN with its own copy of the states, and classes of unequal shares."""
    gan = make_gan(copy.deepcopy(loss), make_nets(), Brightening(), **options)
    gan.class_shares = torch.tensor([0.5, 0.3, 0.2])
    return gan


def train_stateful_gan() -> dict[str, Tensor]:
    """-> the final state of this rank."""
    gan = make_stateful_gan(STATEFUL)
    train(gan)
    return dict(gan.state_dict())


def test_two_ranks_equal_one_process() -> None:
    expected = train_stateful_gan()
    for state in run_on_ranks(2, train_stateful_gan):
        assert state.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)


def test_states_follow_the_complete_batch_however_it_is_divided() -> None:
    one, two = make_stateful_gan(PARTS), make_stateful_gan(PARTS, accumulate=2)
    for gan in (one, two):
        train(gan)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    assert float(one.state_dict()["loss_modules.d_matching.mean"]) != 0
    assert float(one.state_dict()["augment.p"]) != 0
    assert float(one.state_dict()["augment.time"]) == pytest.approx((TURNS - 1) / TURNS)


def test_states_are_saved_and_restored() -> None:
    gan, other = make_stateful_gan(STATEFUL), make_stateful_gan(STATEFUL)
    train(gan, 2)
    other.load_state_dict(gan.state_dict())
    for name in ("loss_modules.d_matching.mean", "augment.p"):
        assert torch.equal(other.state_dict()[name], gan.state_dict()[name])
    assert other.loss.d_terms["matching"].penalty.mean == gan.state_dict()["loss_modules.d_matching.mean"]  # type: ignore[attr-defined]


def test_a_skipped_update_is_not_observed() -> None:
    gan = make_stateful_gan(STATEFUL)
    gan.skip_nonfinite = True
    x, c = make_batches(0)
    x[:2] = torch.nan
    gan.training_step((x, c), 0)
    assert float(gan.augment.p) == 0 == float(gan.loss_modules["d_matching"].mean)  # type: ignore[arg-type]
