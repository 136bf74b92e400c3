"""Consistency terms and mode seeking in closed form."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gantry import rng
from gantry.losses import adversarial
from gantry.losses.consistency import (
    balanced_consistency,
    consistency,
    latent_consistency,
    latent_diversity,
    mode_seeking,
)
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Update
from gantry.nets.contract import Judgement
from updates import make_update

WEIGHTS = torch.tensor([2.0, -1.0])


def linear_critic(x: Tensor) -> Tensor:
    return x @ WEIGHTS


def shift(x: Tensor) -> Tensor:
    return x + torch.tensor([0.5, 0.0])


class DoublingGenerator(SimpleNamespace):
    """G(z, c) = 2 z of the first two numbers of z."""

    z_dim = 2

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        return 2 * z[:, :2]


def make_latent_update(n: int = 6, **changes: Any) -> Update:
    z = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return make_update(linear_critic, 2 * z[:, :2], 2 * z[:, :2], z=z, G=DoublingGenerator(), **changes)


def test_consistency_is_the_squared_change_of_the_logit() -> None:
    """A shift by (0.5, 0) changes 2 x - y by 1, at any image."""
    update = make_update(linear_critic, torch.rand(4, 2), torch.rand(4, 2))
    assert_close(consistency(update, shift), torch.ones(4))
    assert_close(balanced_consistency(update, shift, fake_weight=0.25), torch.full((4,), 1.25))


def test_consistency_is_that_of_the_images_without_the_augmentation() -> None:
    augmented = Judgement(torch.full((4,), 100.0))
    update = make_update(linear_critic, torch.rand(4, 2), torch.rand(4, 2), real=augmented, is_augmented=True)
    assert_close(consistency(update, shift), torch.ones(4))


def test_without_an_augmentation_the_judgement_of_the_loss_is_used() -> None:
    calls = []

    def D(x: Tensor, c: Tensor) -> Tensor:
        calls.append(len(x))
        return linear_critic(x)

    consistency(make_update(linear_critic, torch.rand(4, 2), torch.rand(4, 2), D=D), shift)
    assert calls == [4]
    balanced_consistency(make_update(linear_critic, torch.rand(4, 2), torch.rand(4, 2), D=D, is_augmented=True), shift)
    assert calls == [4] * 5


def test_latent_terms_follow_the_change_of_z() -> None:
    """G = 2 z and D = w x: the change e of z changes x by 2 e and the logit by 2 w e; behind z_dim nothing changes."""
    rng.seed_turn(0, 0)
    e = 0.1 * rng.randn(6, 2)
    for term, expected in (
        (latent_consistency, (2 * e @ WEIGHTS).square()),
        (latent_diversity, -(2 * e).square().mean(1)),
    ):
        rng.seed_turn(0, 0)
        assert_close(term(make_latent_update(), sigma=0.1), expected)


def test_mode_seeking_is_the_ratio_of_the_distances_of_neighbours() -> None:
    """|G(z1) - G(z2)| / |z1 - z2| is 2 for every pair, and for the means."""
    value = mode_seeking(make_latent_update(), epsilon=0.5)
    assert_close(value, torch.tensor([1 / (2 + 0.5)]))


def test_mode_seeking_needs_pairs_of_one_class() -> None:
    make = partial(Objective, adversarial.hinge_d, adversarial.hinge_g, g_terms={"ms": Term(mode_seeking)})
    make(g_batch=2)
    for changes in ({"g_batch": 1}, {"g_batch": 2, "fake_classes": "drawn"}):
        with pytest.raises(ValueError, match=r"^loss\.g_batch must be even, and loss\.fake_classes real, with loss\.g"):
            make(**changes)  # type: ignore[arg-type]


def test_a_term_of_one_net_is_refused_among_those_of_the_other() -> None:
    message = r"^loss\.g_terms\.cr must be a term of G, got one of D \(\+loss\.d_terms\.cr\)$"
    with pytest.raises(ValueError, match=message):
        Objective(adversarial.hinge_d, adversarial.hinge_g, g_terms={"cr": Term(partial(consistency, transform=shift))})
    message = r"^loss\.d_terms\.ms must be a term of D, got one of G \(\+loss\.g_terms\.ms\)$"
    with pytest.raises(ValueError, match=message):
        Objective(adversarial.hinge_d, adversarial.hinge_g, d_terms={"ms": Term(mode_seeking)}, g_batch=2)
