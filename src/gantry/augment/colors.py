"""The colour transformations and the corruptions of ADA (Karras et al. 2020, appendix B): x [N, C, H, W] -> same shape.

Each is applied to an image with probability p, a tensor [] in [0, 1], and differentiable.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from gantry import rng
from gantry.augment.warps import draw_gate, load_constant, reflect

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)  # Daubechies 1992, table 6.1
GREY_CROSS_PRODUCT = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))  # of (1, 1, 1) with a colour
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of the bands of a natural image, from low to high


def jitter_colors(x: Tensor, p: Tensor, strength: float = 1.0) -> Tensor:
    """Change brightness, contrast, luma, hue and saturation; where C is not 3, the first three.

    `strength` scales the standard deviations of brightness, contrast and saturation, and the largest angle of the hue.
    """
    n, channels = x.shape[:2]
    brightness = draw_gate(x, p) * 0.2 * strength * rng.randn(n, device=x.device)
    contrast = torch.exp2(draw_gate(x, p) * 0.5 * strength * rng.randn(n, device=x.device))
    flipped = draw_gate(x, p) & (rng.rand(n, device=x.device) < 0.5)
    angle = draw_gate(x, p) * (2 * rng.rand(n, device=x.device) - 1) * torch.pi * strength
    saturation = torch.exp2(draw_gate(x, p) * strength * rng.randn(n, device=x.device))
    x = contrast.view(-1, 1, 1, 1) * (x + brightness.view(-1, 1, 1, 1))
    sign = 1 - 2.0 * flipped
    if channels != 3:
        return x * sign.view(-1, 1, 1, 1)
    return torch.einsum("nij,njhw->nihw", make_color_matrix(sign, angle, saturation).to(x.dtype), x)


def make_color_matrix(sign: Tensor, angle: Tensor, saturation: Tensor) -> Tensor:
    """Return the maps of colours: [N] three times -> [N, 3, 3].

    Along the axis of greys a colour is multiplied by the sign; across it, it is rotated and scaled by the saturation.
    """
    grey = torch.full((3, 3), 1 / 3, device=sign.device)
    across = torch.eye(3, device=sign.device) - grey
    turn = load_constant(GREY_CROSS_PRODUCT, torch.float32, sign.device) / 3**0.5
    sign, angle, saturation = (values.view(-1, 1, 1) for values in (sign, angle, saturation))
    return sign * grey + saturation * (angle.cos() * across + angle.sin() * turn)


def amplify_bands(x: Tensor, p: Tensor) -> Tensor:
    """Amplify four octaves by 2^N(0, 1) each, at a constant expected power, with filters made of SYM2."""
    n, channels, height, width = x.shape
    power = load_constant(EXPECTED_POWER, torch.float32, x.device)
    gains = torch.ones(n, len(EXPECTED_POWER), device=x.device)
    for band in range(len(power)):
        gain = torch.ones(n, len(power), device=x.device)
        gain[:, band] = torch.exp2(draw_gate(x, p) * rng.randn(n, device=x.device))
        gains = gains * gain / (power * gain.square()).sum(1, keepdim=True).sqrt()
    taps = (gains @ make_band_filters(x.device)).to(x.dtype)
    pad = taps.shape[1] // 2
    rows, columns = (reflect(torch.arange(-pad, side + pad, device=x.device), 0, side - 1) for side in (height, width))
    x = x.index_select(2, rows.long()).index_select(3, columns.long()).flatten(0, 1)[None]
    taps = taps.repeat_interleave(channels, 0, output_size=n * channels)
    x = F.conv2d(x, taps[:, None, None, :], groups=n * channels)
    return F.conv2d(x, taps[:, None, :, None], groups=n * channels).view(n, channels, height, width)


@cache
def make_band_filters(device: torch.device) -> Tensor:
    """Return the filters of the four octaves, from low to high, whose sum is the identity: -> [4, taps].

    The half-band filter L is the autocorrelation of SYM2. A band is L of the finer octaves times 1 - L of its own.
    """
    sym2 = torch.tensor(SYM2, dtype=torch.float64)
    low = F.conv1d(F.pad(sym2, (3, 3))[None, None], sym2[None, None]).flatten() / 2
    bands, passed = [], torch.ones(1, dtype=torch.float64)
    for octave in range(3):
        dilated = torch.zeros(6 * 2**octave + 1, dtype=torch.float64)
        dilated[:: 2**octave] = low
        high = -dilated
        high[len(high) // 2] += 1
        bands.append(_convolve(passed, high))
        passed = _convolve(passed, dilated)
    bands.append(passed)
    length = len(passed)
    padded = [F.pad(band, ((length - len(band)) // 2,) * 2) for band in reversed(bands)]
    return torch.stack(padded).float().to(device)


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return F.conv1d(F.pad(a, (len(b) - 1,) * 2)[None, None], b.flip(0)[None, None]).flatten()


def add_noise(x: Tensor, p: Tensor) -> Tensor:
    """Add normal noise, whose standard deviation is |N(0, 0.1^2)| for each image."""
    deviation = draw_gate(x, p) * 0.1 * rng.randn(len(x), device=x.device).abs()
    return x + (deviation.view(-1, 1, 1, 1) * rng.randn(*x.shape, device=x.device)).to(x.dtype)


def cut_out(x: Tensor, p: Tensor) -> Tensor:
    """Set a rectangle of half the sides to 0, centred at any point."""
    cut = draw_gate(x, p)[:, None, None, None]
    for axis, side in ((2, x.shape[2]), (3, x.shape[3])):
        position = (torch.arange(side, device=x.device) + 0.5) / side
        inside = (position - rng.rand(len(x), 1, device=x.device)).abs() < 0.25
        cut = cut & inside.view(len(x), 1, *(side if a == axis else 1 for a in (2, 3)))
    return x * ~cut
