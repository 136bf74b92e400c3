"""The transformations of ADA by their defining properties, and its controller by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from gantry import rng
from gantry.augment.ada import AdaptiveAugment, RandomAugment
from gantry.augment.colors import (
    SYM2,
    add_noise,
    amplify_bands,
    cut_out,
    jitter_colors,
    make_band_filters,
    make_color_matrix,
)
from gantry.augment.warps import HALF, SYM6, blit, decimate, double, draw_warp, interpolate, reflect
from gantry.schedules import Clock, linear

ALL = {"band_filter": True, "noise": True, "cutout": True}
ONE = torch.tensor(1.0)


def make_images(n: int = 4, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("taps", "moments"), [(SYM6, 6), (SYM2, 2)])
def test_wavelet_filters_are_orthogonal_with_vanishing_moments(taps: tuple[float, ...], moments: int) -> None:
    h = torch.tensor(taps, dtype=torch.float64)
    for shift in range(len(h) // 2):
        assert float((h[2 * shift :] * h[: len(h) - 2 * shift]).sum()) == pytest.approx(float(shift == 0), abs=1e-9)
    assert float(h.sum()) == pytest.approx(math.sqrt(2))
    k = torch.arange(len(h), dtype=torch.float64)
    for power in range(moments):
        assert float(((-1) ** k * k**power * h).sum()) == pytest.approx(0.0, abs=1e-4)


def test_at_probability_zero_images_are_themselves() -> None:
    x = make_images()
    rng.seed_turn(0, 0)
    assert torch.equal(RandomAugment(0.0, **ALL)(x), x) or torch.allclose(RandomAugment(0.0, **ALL)(x), x, atol=1e-5)
    assert torch.equal(RandomAugment(0.0)(x), x)


def test_doubling_is_undone_without_loss() -> None:
    x = make_images().double()
    y = double(x)
    assert y.shape == (4, 3, 32, 32)
    shifted = decimate(y[:, :, 1:-1, 1:-1])  # begins at position 1, which is HALF before pixel (1 + HALF) / 2
    first = (1 + HALF) // 2
    size = shifted.shape[-1]
    assert_close(shifted, x[:, :, first : first + size, first : first + size], atol=1e-9, rtol=0)


def make_positions(x: Tensor, linear_part: Tensor, shift: Tensor) -> Tensor:
    """Return the sources of the grid that `decimate` needs, (x, y), as `warp` has them."""
    height, width = x.shape[2:]
    rows, columns = (torch.arange(-HALF, 2 * side + HALF).double() for side in (height, width))
    centre = torch.tensor([2 * width - 1, 2 * height - 1]).double() / 2
    target = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1) - centre
    return torch.einsum("ij,rsj->rsi", linear_part, target - shift).expand(len(x), -1, -1, -1) + centre


def test_whole_shifts_and_quarter_turns_of_the_grid_are_those_of_the_pixels() -> None:
    small = make_images(height=3, width=3).double()
    x = F.interpolate(small, (16, 16), mode="bicubic")  # smooth: a turned SYM6 is not quite SYM6
    identity = torch.eye(2).double()
    moved = decimate(interpolate(double(x), make_positions(x, identity, torch.tensor([4.0, -2.0]).double())))
    assert_close(moved[:, :, 4:11, 5:12], x[:, :, 5:12, 3:10], atol=1e-9, rtol=0)  # 2 to the right, 1 up
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double()
    turned = decimate(interpolate(double(x), make_positions(x, quarter, torch.zeros(2).double())))
    errors = [float((turned - x.rot90(k, (2, 3)))[:, :, 3:-3, 3:-3].abs().max()) for k in range(4)]
    assert errors[1] < 0.2 < 0.5 < min(errors[0], errors[2], errors[3])


def test_positions_are_mirrored_at_both_ends() -> None:
    assert reflect(torch.tensor([-3.0, -1.0, 0.0, 2.5, 4.0, 5.0, 9.0]), 0, 4).tolist() == [
        3.0,
        1.0,
        0.0,
        2.5,
        4.0,
        3.0,
        1.0,
    ]


def test_warps_have_the_probabilities_and_scales_of_the_paper() -> None:
    rng.seed_turn(0, 0)
    x = torch.zeros(40_000, 1, 8, 16)
    linear_part, shift, is_changed = draw_warp(x, torch.tensor(0.5))
    assert float(is_changed.float().mean()) == pytest.approx(1 - 0.5**4, abs=0.01)  # zoom, turn, stretch, shift
    log_area = -torch.linalg.det(linear_part).log2() / 2
    assert float((log_area.abs() > 1e-6).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float(log_area[log_area.abs() > 1e-6].std()) == pytest.approx(0.2, abs=0.005)
    moved = shift[shift.abs().sum(1) > 0]
    assert (moved.std(0) / torch.tensor([32.0, 16.0])).tolist() == pytest.approx([0.125, 0.125], abs=0.003)


def test_blits_move_pixels_and_change_none() -> None:
    rng.seed_turn(0, 0)
    x = torch.arange(64.0).view(1, 1, 8, 8).expand(400, -1, -1, -1).contiguous()
    y = blit(x, ONE)
    unshifted = y[[set(image.flatten().tolist()) == set(range(64)) for image in y]]
    both = [image.rot90(k, (1, 2)) for image in (x[0], x[0].flip(2)) for k in range(4)]
    symmetries = {tuple(image.flatten().tolist()) for image in both}
    assert {tuple(image.flatten().tolist()) for image in unshifted} <= symmetries
    assert len({tuple(image.flatten().tolist()) for image in y}) > 40
    wide = torch.arange(32.0).view(1, 1, 4, 8).expand(200, -1, -1, -1).contiguous()
    assert blit(wide, ONE).shape == wide.shape


def test_colours_turn_about_the_axis_of_greys() -> None:
    one = torch.ones(1)
    grey, colour = torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.9, -0.3, 0.1])
    turned = make_color_matrix(one, one * 1.234, one)[0]
    assert_close(turned @ grey, grey)
    assert_close(turned @ turned.T, torch.eye(3))
    assert_close(torch.linalg.det(turned), torch.tensor(1.0))
    flip = make_color_matrix(-one, 0 * one, one)[0]
    axis = torch.full((3,), 3**-0.5)
    assert_close(flip, torch.eye(3) - 2 * torch.outer(axis, axis))
    faded = make_color_matrix(one, 0 * one, 0 * one)[0] @ colour
    assert_close(faded, colour.mean().expand(3))


def test_grey_images_change_brightness_contrast_and_sign_alone() -> None:
    rng.seed_turn(0, 0)
    x = make_images(64, channels=1)
    y = jitter_colors(x, ONE)
    slope = (y[:, 0, 0, 0] - y[:, 0, 0, 1]) / (x[:, 0, 0, 0] - x[:, 0, 0, 1])
    offset = y[:, 0, 0, 0] - slope * x[:, 0, 0, 0]
    assert_close(slope.view(-1, 1, 1, 1) * x + offset.view(-1, 1, 1, 1), y, atol=1e-4, rtol=0)
    assert 16 < int((slope < 0).sum()) < 48


def test_band_filters_add_up_to_the_identity_and_split_the_octaves() -> None:
    bands = make_band_filters(torch.device("cpu"))
    identity = torch.zeros(bands.shape[1])
    identity[len(identity) // 2] = 1
    assert_close(bands.sum(0), identity, atol=1e-6, rtol=0)
    spectra = torch.fft.rfft(bands, 4096).abs()
    octaves = [slice(0, 256), slice(256, 512), slice(512, 1024), slice(1024, 2049)]
    for spectrum, octave in zip(spectra, octaves):
        share = spectrum[octave].square().sum() / spectrum.square().sum()
        assert float(share) > 0.7


def test_amplification_keeps_shapes_and_without_a_gain_the_image() -> None:
    rng.seed_turn(0, 0)
    x = make_images(2, height=12, width=20)
    assert_close(amplify_bands(x, torch.tensor(0.0)), x, atol=1e-5, rtol=0)
    assert amplify_bands(x, ONE).shape == x.shape


def test_noise_and_cutout_have_their_sizes() -> None:
    rng.seed_turn(0, 0)
    zeros = torch.zeros(4000, 1, 8, 8)
    deviations = add_noise(zeros, ONE).flatten(1).std(1)
    assert float(deviations.mean()) == pytest.approx(0.1 * math.sqrt(2 / math.pi), abs=0.004)
    share = 1 - cut_out(zeros + 1, ONE).mean()
    assert float(share) == pytest.approx((0.5 - 0.25**2) ** 2, abs=0.01)  # half of each side, less what lies outside


def test_a_penalty_can_differentiate_twice() -> None:
    augment = RandomAugment(0.9, **ALL).double()
    x = make_images(2, height=6, width=6).double().requires_grad_()

    def augmented(x: Tensor) -> Tensor:
        rng.seed_turn(0, 3)
        return augment(x).sin()

    assert torch.autograd.gradgradcheck(lambda x: augmented(x).sum((1, 2, 3)), x)


def observe(augment: AdaptiveAugment, *signs: float) -> list[float]:
    """-> p after each update."""
    values = []
    for sign in signs:
        augment.observe({"logits/real_sign": torch.tensor(sign)})
        values.append(float(augment.p))
    return values


def test_p_follows_the_mean_sign_over_its_interval_within_its_bounds() -> None:
    augment = AdaptiveAugment(batch_size=50, target=0.6, kimg=1.0, interval=2)  # a step of 0.1
    assert observe(augment, 1.0, 0.4, 0.9, 0.1, 0.0, 0.0) == pytest.approx([0, 0.1, 0.1, 0.0, 0.0, 0.0])
    assert observe(augment, *[1.0] * 30)[-1] == 1.0
    assert observe(augment, *[0.6, 0.5] * 2)[-1] == pytest.approx(0.8)


def test_a_scheduled_p_follows_the_clock() -> None:
    augment = RandomAugment(lambda clock: linear(clock, 0.0, 0.55, kimg=20.0))
    for kimg, expected in ((0.0, 0.0), (10.0, 0.275), (40.0, 0.55)):
        augment.set_clock(Clock(turn=0, kimg=kimg, progress=0.0))
        assert float(augment.p) == pytest.approx(expected)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^augment\.p must be in \[0, 1\] or a schedule, got 1\.5$"):
        RandomAugment(1.5)
    with pytest.raises(ValueError, match=r"^augment\.target must be in \[-1, 1\], got 2$"):
        AdaptiveAugment(batch_size=4, target=2)
    with pytest.raises(ValueError, match=r"^augment must be none for data without images, got x of shape \[3, 2\]$"):
        RandomAugment(0.5)(torch.zeros(3, 2))
