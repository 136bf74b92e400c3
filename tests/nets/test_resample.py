"""FIR resampling against its definition, written out pixel by pixel in float64."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.testing import assert_close

from gantry.nets.resample import Resample, make_downsample, make_upsample


def resample_line(x: NDArray, taps: list[float], up: int, down: int, padding: tuple[int, int]) -> NDArray:
    """Zeros between, zeros around, convolution, every `down`-th: along the last axis."""
    spread = np.zeros((*x.shape[:-1], x.shape[-1] * up))
    spread[..., ::up] = x
    before, after = padding
    spread = np.pad(spread, [(0, 0)] * (x.ndim - 1) + [(max(before, 0), max(after, 0))])
    spread = spread[..., max(-before, 0) : spread.shape[-1] - max(-after, 0)]
    weights = np.array(taps) / sum(taps)
    lines = [np.convolve(line, weights, "valid")[::down] for line in spread.reshape(-1, spread.shape[-1])]
    return np.array(lines).reshape(*x.shape[:-1], -1)


def resample_image(x: NDArray, taps: list[float], up: int, down: int, padding: tuple[int, int]) -> NDArray:
    """Both axes, one after the other."""
    wide = resample_line(x, taps, up, down, padding)
    return resample_line(wide.swapaxes(-1, -2), taps, up, down, padding).swapaxes(-1, -2)


TAPS = [[1, 3, 3, 1], [1, 2, 1], [1, 1], [5, 1, 2], [1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 1), (1, 2), (5, 7), (-1, 2), (3, -1), (-1, -1)])
def test_definition(taps: list[float], up: int, down: int, padding: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    if min(9 * up, 7 * up) + sum(padding) < len(taps):
        pytest.skip("no pixel is left")
    expected = 1.5 * resample_image(x.numpy(), taps, up, down, padding)
    assert_close(Resample(taps, up, down, padding, gain=1.5).double()(x), torch.tensor(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("factor", [2, 3])
def test_sides_are_multiplied_and_divided(factor: int, taps: list[float]) -> None:
    x = torch.rand(1, 2, 6, 12)
    assert make_upsample(taps, factor)(x).shape == (1, 2, 6 * factor, 12 * factor)
    assert make_downsample(taps, factor)(x).shape == (1, 2, 6 // factor, 12 // factor)


def test_a_constant_image_keeps_its_level() -> None:
    """But for the border, where zeros come in."""
    x = torch.ones(1, 1, 8, 10)
    assert_close(make_upsample()(x)[..., 1:-1, 1:-1], torch.ones(1, 1, 14, 18))
    assert_close(make_downsample()(x)[..., 1:-1, 1:-1], torch.ones(1, 1, 2, 3))


def test_four_taps_by_hand() -> None:
    """The pixels 8 and 0 in a row, doubled: 3/4 and 1/4 of the neighbours on both sides."""
    x = torch.tensor([8.0, 0.0]).expand(2, 2).reshape(1, 1, 2, 2)
    line = torch.tensor([6.0, 6.0, 2.0, 0.0])
    assert_close(make_upsample()(x)[0, 0, 1], line)  # an inner row: 3/4 + 1/4 of equal rows
    assert_close(make_upsample()(x)[0, 0, 0], 0.75 * line)


def test_down_is_the_adjoint_of_up() -> None:
    """<up(x), y> = 4 <x, down(y)>: the taps are symmetric, and so is the padding."""
    x, y = torch.randn(1, 1, 5, 6).double(), torch.randn(1, 1, 10, 12).double()
    up, down = make_upsample().double(), make_downsample().double()
    assert_close((up(x) * y).sum(), 4 * (x * down(y)).sum())


@pytest.mark.parametrize("layer", [make_upsample(), make_downsample(), make_upsample([1, 2, 1], 3)])
def test_it_is_differentiable_twice(layer: Resample) -> None:
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    function = lambda x: layer.double()(x.square())  # noqa: E731
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_the_filter_is_not_part_of_the_state() -> None:
    layer = make_upsample()
    assert layer.state_dict() == {}
    assert list(layer.parameters()) == []
    assert layer(torch.rand(1, 1, 4, 4).bfloat16()).dtype == torch.bfloat16
