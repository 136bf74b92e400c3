"""Flips and shifts against positions written out by hand."""

import pytest
import torch

from gantry import rng
from gantry.augment.flip_shift import FlipShift

ROW = torch.arange(8.0).expand(512, 1, 8, 8).contiguous()  # each pixel has the number of its column


def test_what_leaves_is_mirrored_in() -> None:
    rng.seed_turn(0, 0)
    rows = FlipShift(0.25, flip=False)(ROW)[:, 0, 0].long()
    expected = {
        -2: [2, 3, 4, 5, 6, 7, 6, 5],
        -1: [1, 2, 3, 4, 5, 6, 7, 6],
        0: [0, 1, 2, 3, 4, 5, 6, 7],
        1: [1, 0, 1, 2, 3, 4, 5, 6],
        2: [2, 1, 0, 1, 2, 3, 4, 5],
    }
    assert sorted({tuple(row) for row in rows.tolist()}) == sorted(map(tuple, expected.values()))


def test_every_other_image_is_mirrored_and_columns_move_apart_from_rows() -> None:
    rng.seed_turn(0, 0)
    x = FlipShift(0.0)(ROW)[:, 0, 3]
    mirrored = (x == ROW[0, 0, 0].flip(0)).all(1)
    assert 200 < int(mirrored.sum()) < 312
    assert ((x == ROW[0, 0, 0]).all(1) | mirrored).all()


def test_it_is_differentiable_and_checks_its_fraction() -> None:
    rng.seed_turn(0, 0)
    x = torch.rand(3, 2, 8, 6, requires_grad=True)
    FlipShift()(x).sum().backward()
    assert float(x.grad.sum()) == x.numel()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"^a shift must be a fraction of the side in \[0, 1\), got 1"):
        FlipShift(1.0)
