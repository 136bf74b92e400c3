import copy

import pytest
import torch
from torch import nn

from gantry.schedules import Clock
from gantry.training.ema import Ema, WeightAverage


def at(kimg: float) -> Clock:
    return Clock(turn=0, kimg=kimg, progress=0.0)


def test_half_life() -> None:
    ema, kimg, average = Ema(half_life=2.0, ramp=None), 0.0, 1.0
    for _ in range(4):
        kimg += 0.5
        average *= ema.compute_decay(at(kimg), 0.5)
    assert average == pytest.approx(0.5)


def test_ramp_bounds_the_half_life() -> None:
    ema = Ema(half_life=10.0, ramp=0.05)
    assert ema.compute_decay(at(20.0), kimg_per_turn=1.0) == pytest.approx(0.5)
    assert ema.compute_decay(at(0.0), kimg_per_turn=1.0) == 0.0
    assert ema.compute_decay(at(1e6), kimg_per_turn=10.0) == pytest.approx(0.5)
    assert Ema(half_life=0.0, ramp=None).compute_decay(at(5.0), 1.0) == 0.0


def test_floats_are_averaged_and_integers_copied() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = copy.deepcopy(net)
    before = copy.deepcopy(average.state_dict())
    with torch.no_grad():
        for value in net.state_dict().values():
            value += 3
    WeightAverage(average, net).lerp_(0.75)
    for name, value in average.state_dict().items():
        change = value - before[name]
        torch.testing.assert_close(change, torch.full_like(change, 0.75 if value.is_floating_point() else 3))


def test_refuses_a_negative_half_life() -> None:
    with pytest.raises(ValueError, match=r"ema\.half_life must be at least 0 kimg, got -1"):
        Ema(half_life=-1)
