"""The blits and the geometric transformations of ADA (Karras et al. 2020, appendix B): x [N, C, H, W] -> same shape.

Each transformation is applied to an image with probability p, a tensor [] in [0, 1]. All are linear in x and made of
gathers and convolutions, so that a penalty can differentiate through them twice.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gantry import rng

SYM6 = (  # the low-pass filter of the wavelet with six vanishing moments (Daubechies 1992, table 6.3), of norm 1
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
HALF = len(SYM6) // 2 - 1  # positions of the doubled grid on each side of a pixel that its filter covers


@cache
def load_constant(values: Sequence[Any], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return constant values on a device, kept from the first call on: a captured turn may not copy them there."""
    return torch.tensor(values, dtype=dtype, device=device)


def draw_gate(x: Tensor, p: Tensor) -> Tensor:
    """Draw for each image whether it is transformed: -> bool [N]."""
    return rng.rand(len(x), device=x.device) < p


def reflect(position: Tensor, low: float, high: float) -> Tensor:
    """Mirror positions at both ends of [low, high], as often as it takes."""
    period = max(2 * (high - low), 1)  # of a single position any
    offset = torch.remainder(position - low, period)
    return low + torch.minimum(offset, period - offset)


def blit(x: Tensor, p: Tensor) -> Tensor:
    """Mirror, turn by a multiple of 90 degrees (180 where the sides differ), shift by up to an eighth of the sides."""
    n, channels, height, width = x.shape
    turns = 4 if height == width else 2
    mirrored = draw_gate(x, p) & (rng.rand(n, device=x.device) < 0.5)
    turn = draw_gate(x, p) * (rng.rand(n, device=x.device) * turns).floor() * (4 // turns)
    shifted = draw_gate(x, p)
    down, right = (
        shifted * ((2 * rng.rand(n, device=x.device) - 1) * 0.125 * side).round() for side in (height, width)
    )
    row = reflect(torch.arange(height, device=x.device) - down[:, None], 0, height - 1)[:, :, None]
    column = reflect(torch.arange(width, device=x.device) - right[:, None], 0, width - 1)[:, None, :]
    row, column = row.expand(-1, -1, width), column.expand(-1, height, -1)
    turn = turn[:, None, None]
    if turns == 4:
        row, column = (torch.where(turn % 2 == 1, b, a) for a, b in ((row, column), (column, height - 1 - row)))
    row, column = (torch.where(turn >= 2, side - 1 - a, a) for a, side in ((row, height), (column, width)))
    column = torch.where(mirrored[:, None, None], width - 1 - column, column)
    source = (row * width + column).long().view(n, 1, -1)
    return x.flatten(2).gather(2, source.expand(-1, channels, -1)).view_as(x)


def warp(x: Tensor, p: Tensor) -> Tensor:
    """Scale, rotate, stretch, rotate again and shift, all by one interpolation on the doubled grid of SYM6."""
    linear, shift, is_changed = draw_warp(x, p)
    height, width = x.shape[2:]
    rows, columns = (torch.arange(-HALF, 2 * side + HALF, device=x.device) for side in (height, width))
    centre = load_constant((width - 0.5, height - 0.5), torch.float32, x.device)
    target = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1) - centre  # [R, S, 2], (x, y)
    source = torch.einsum("nij,nrsj->nrsi", linear, target - shift[:, None, None]) + centre
    warped = decimate(interpolate(double(x), source))
    return torch.where(is_changed[:, None, None, None], warped, x)


def draw_warp(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the map from a position of the result to its source: linear [N, 2, 2], shift [N, 2], and bool [N].

    A position minus the shift, times the linear part, is the source, both from the centre of the doubled grid; the last
    says which images change at all.
    """
    n, _, height, width = x.shape
    p_rotate = 1 - (1 - p).sqrt()  # of each of the two rotations, so that one of them happens with probability p
    zoomed, first, stretched, second, shifted = (draw_gate(x, q) for q in (p, p_rotate, p, p_rotate, p))
    scale, stretch = (torch.exp2(0.2 * rng.randn(n, device=x.device)) for _ in range(2))
    angles = [(2 * rng.rand(n, device=x.device) - 1) * math.pi for _ in range(2)]
    scale, stretch = torch.where(zoomed, scale, 1.0), torch.where(stretched, stretch, 1.0)
    before, after = (rotation(angle * gate) for angle, gate in zip(angles, (first, second)))
    inverse_stretch = torch.diag_embed(torch.stack([1 / stretch, stretch], 1))
    linear = before @ inverse_stretch @ after / scale[:, None, None]
    sides = load_constant((2.0 * width, 2.0 * height), torch.float32, x.device)
    shift = shifted[:, None] * 0.125 * rng.randn(n, 2, device=x.device) * sides
    return linear, shift, zoomed | first | stretched | second | shifted


def rotation(angle: Tensor) -> Tensor:
    """Return rotations: [N] -> [N, 2, 2]."""
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)


def interpolate(x: Tensor, source: Tensor) -> Tensor:
    """Read x [N, C, H, W] at the positions source [N, R, S, 2], (x, y), bilinearly; outside the image is mirrored.

    The mirrors are the centres of the outer pixels of the image before `double`. -> [N, C, R, S].
    """
    n, channels, height, width = x.shape
    column, row = reflect(source[..., 0], 0.5, width - 1.5), reflect(source[..., 1], 0.5, height - 1.5)
    left, top = column.floor(), row.floor()
    right_share, bottom_share = column - left, row - top
    result = x.new_zeros(n, channels, *source.shape[1:3])
    for dy, row_share in ((0, 1 - bottom_share), (1, bottom_share)):
        for dx, column_share in ((0, 1 - right_share), (1, right_share)):
            index = ((top + dy) * width + left + dx).long().view(n, 1, -1).expand(-1, channels, -1)
            result = result + (row_share * column_share)[:, None] * x.flatten(2).gather(2, index).view_as(result)
    return result


def double(x: Tensor) -> Tensor:
    """Put the image on a grid of twice the density: [N, C, H, W] -> [N, C, 2H, 2W]."""
    channels, (height, width), pad = x.shape[1], x.shape[2:], len(SYM6) // 4
    x = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    taps = math.sqrt(2) * load_constant(SYM6, x.dtype, x.device)
    x = F.conv_transpose2d(x, taps.expand(channels, 1, 1, -1), stride=(1, 2), groups=channels)
    x = F.conv_transpose2d(x, taps[:, None].expand(channels, 1, -1, 1), stride=(2, 1), groups=channels)
    start = 2 * pad + HALF
    return x[:, :, start : start + 2 * height, start : start + 2 * width]


def decimate(x: Tensor) -> Tensor:
    """Return every other pixel of the filtered grid: [N, C, 2H + 2 HALF, 2W + 2 HALF] -> [N, C, H, W].

    It takes back `double` without loss, since the filter is orthogonal to its even shifts.
    """
    channels = x.shape[1]
    taps = load_constant(SYM6, x.dtype, x.device) / math.sqrt(2)
    x = F.conv2d(x, taps.expand(channels, 1, 1, -1), stride=(1, 2), groups=channels)
    return F.conv2d(x, taps[:, None].expand(channels, 1, -1, 1), stride=(2, 1), groups=channels)
