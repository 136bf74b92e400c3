"""Convolutional nets after DCGAN (Radford et al. 2016): G starts at base and doubles the sides n times.

The critic is the "standard CNN" of Miyato et al. 2018, Table 3, which halves the side as often as G doubles it.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from gantry.nets.contract import Judgement
from gantry.nets.heads import HeadKind, make_head
from gantry.nets.layers import LEAKY_SLOPE, NORMS_2D, LatentCondition, init_dcgan_, init_he_
from gantry.nets.resolution import factor_side
from gantry.nets.spectral import spectral_norm_


def make_up_block(i: int, o: int) -> nn.Sequential:
    """Return a block [N, i, H, W] -> [N, o, 2H, 2W]."""
    return nn.Sequential(nn.ConvTranspose2d(i, o, 4, stride=2, padding=1), nn.BatchNorm2d(o), nn.ReLU())


def make_conv_block(i: int, o: int, kernel: int, stride: int, norm: str) -> nn.Sequential:
    """Return a block [N, i, H, W] -> [N, o, H / stride, W / stride]."""
    return nn.Sequential(nn.Conv2d(i, o, kernel, stride, padding=1), NORMS_2D[norm](o), nn.LeakyReLU(LEAKY_SLOPE))


def make_down_block(i: int, o: int, norm: str) -> nn.Sequential:
    """Return a block [N, i, H, W] -> [N, o, H / 2, W / 2]."""
    return nn.Sequential(make_conv_block(i, o, 3, 1, norm), make_conv_block(o, o, 4, 2, norm))


def compute_widths(width: int, max_width: int, n: int) -> list[int]:
    """Return n + 1 numbers of channels from fine to coarse: width, 2 width, 4 width, ... at most max_width."""
    return [min(width << k, max_width) for k in range(n + 1)]


class Generator(nn.Module):
    """z [N, z_dim], c [N] -> x [N, C, H, W] in [-1, 1]; `width` channels at full size."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        width: int,
        max_width: int,
        condition: Literal["concat", "product"] = "concat",
    ) -> None:
        super().__init__()
        self.condition = LatentCondition(z_dim, num_classes, condition)
        self.shape, self.z_dim, self.num_classes = tuple(shape), z_dim, num_classes
        base, n = factor_side(shape)
        widths = compute_widths(width, max_width, n)[::-1]
        self.project = nn.Sequential(
            nn.Linear(self.condition.dim, widths[0] * math.prod(base)),
            nn.Unflatten(1, (widths[0], *base)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.body = nn.Sequential(*(make_up_block(i, o) for i, o in pairwise(widths)))
        self.head = nn.Sequential(nn.Conv2d(widths[-1], shape[0], 3, padding=1), nn.Tanh())
        init_dcgan_(self)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.head(self.body(self.project(self.condition(z, c))))


class Discriminator(nn.Module):
    """x [N, C, H, W], c [N] -> judgement of logits [N]; `width` channels at full size."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int,
        max_width: int,
        norm: Literal["none", "batch", "layer", "instance", "group", "spectral"],
        head: HeadKind = "projection",
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        _, n = factor_side(shape)
        widths = compute_widths(width, max_width, n)
        self.body = nn.Sequential(
            *(make_down_block(i, o, norm) for i, o in pairwise([shape[0], *widths[:-1]])),
            make_conv_block(widths[-2], widths[-1], 3, 1, norm),
        )
        self.head = make_head(head, widths[-1], num_classes)
        init = init_he_ if norm in ("none", "spectral") else init_dcgan_
        init(self)
        if norm == "spectral":
            spectral_norm_(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        return self.head(self.body(x).sum((2, 3)), c)
