"""The bounds of gradients and the betas of the optimisers."""

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from gantry.config.checks import check_capture
from gantry.schedules import Clock, linear
from gantry.training.optim import Optim


def test_gradients_are_clipped_by_net_and_by_value() -> None:
    optim = Optim(torch.optim.SGD, torch.optim.SGD, clip={"G": 1.0, "D": None}, clip_value={"D": 0.5})  # type: ignore[arg-type]
    for net, expected in (("G", [0.6, 0.8]), ("D", [0.5, 0.5])):
        parameter = nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([3.0, 4.0])
        optim.clip_gradients_(net, [parameter])  # type: ignore[arg-type]
        torch.testing.assert_close(parameter.grad, torch.tensor(expected))


def test_beta2_is_refused_for_optimisers_without_betas() -> None:
    optim = Optim(torch.optim.SGD, torch.optim.SGD, beta2=0.9)
    with pytest.raises(ValueError, match=r"^optim\.beta2 must be null for optimisers without betas, got"):
        optim.create_optimizers(nn.Linear(1, 1), nn.Linear(1, 1))


def test_beta2_follows_its_schedule() -> None:
    adam = partial(torch.optim.Adam, betas=(0.0, 0.9))
    optim = Optim(adam, adam, beta2=partial(linear, start=0.9, end=0.99, kimg=10.0))
    optimizers = optim.create_optimizers(nn.Linear(1, 1), nn.Linear(1, 1))
    for kimg, expected in ((0.0, 0.9), (5.0, 0.945), (20.0, 0.99)):
        optim.set_rates_(optimizers, [0.1, 0.2], Clock(turn=0, kimg=kimg, progress=0.0))
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        assert [group["lr"] for group in groups] == [0.1, 0.2]
        assert [group["betas"] for group in groups] == [(0.0, pytest.approx(expected))] * 2


def test_a_captured_turn_has_no_scheduled_beta2() -> None:
    check_capture(OmegaConf.create({"hardware": {"capture": True}, "optim": {"beta2": None}}))
    with pytest.raises(
        ValueError, match=r"^hardware\.capture must be false with optim\.beta2, which changes from turn"
    ):
        check_capture(OmegaConf.create({"hardware": {"capture": True}, "optim": {"beta2": 0.9}}))
