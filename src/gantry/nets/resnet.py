"""Residual nets of WGAN-GP (Gulrajani et al. 2017, for CIFAR-10), SNGAN (Miyato et al. 2018, Table 4) and SAGAN.

With classes: conditional BatchNorm in G and a projection in D (Miyato & Koyama 2018). SAGAN (Zhang et al. 2019) adds
self-attention to both nets, and spectral normalisation to G.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gantry.nets.attention import SelfAttention, find_attended_block
from gantry.nets.contract import Judgement
from gantry.nets.heads import HeadKind, make_head
from gantry.nets.layers import NORMS_2D, ConditionalBatchNorm, init_xavier_
from gantry.nets.resolution import factor_side
from gantry.nets.spectral import spectral_norm_

MAX_FINAL_SIDE = 8  # the critic halves at least once and until the side is at most 8, then keeps it for two blocks


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat every pixel four times: [N, F, H, W] -> [N, F, 2H, 2W]."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class UpBlock(nn.Module):
    """A residual block of G that doubles the side: x [N, i, H, W] -> [N, o, 2H, 2W].

    Its norms, `make_norm(features)`, are called with the condition `c`.
    """

    def __init__(self, i: int, o: int, make_norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1 = make_norm(i)
        self.conv1 = nn.Conv2d(i, o, 3, padding=1)
        self.norm2 = make_norm(o)
        self.conv2 = nn.Conv2d(o, o, 3, padding=1)
        self.shortcut = nn.Conv2d(i, o, 1)

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        h = self.conv1(upsample_nearest(F.relu(self.norm1(x, c))))
        h = self.conv2(F.relu(self.norm2(h, c)))
        # a 1x1 convolution commutes with the upsampling, and costs a quarter before it
        return h + upsample_nearest(self.shortcut(x))


class ResidualBlock(nn.Module):
    """A residual block of D: x [N, i, H, W] -> branch + shortcut [N, o, H, W], or [N, o, H / 2, W / 2] if `halve`.

    The `first` block takes the image itself, so it has no activation in front, and no norms.
    """

    def __init__(self, i: int, o: int, halve: bool, first: bool = False, norm: str = "none") -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Identity() if first else nn.Sequential(NORMS_2D[norm](i), nn.ReLU()),
            nn.Conv2d(i, o, 3, padding=1),
            nn.ReLU() if first else nn.Sequential(NORMS_2D[norm](o), nn.ReLU()),
            nn.Conv2d(o, o, 3, padding=1),
            nn.AvgPool2d(2) if halve else nn.Identity(),
        )
        # pooling commutes with a 1x1 convolution too
        pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.shortcut = nn.Sequential(pool, nn.Conv2d(i, o, 1)) if halve or i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)


def count_halvings(shape: Sequence[int]) -> int:
    """Return how often D halves images of a shape. Raises ValueError for one whose sides do not halve evenly."""
    factor_side(shape)
    return max(1, math.ceil(math.log2(min(shape[1:]) / MAX_FINAL_SIDE)))


def make_critic_body(
    shape: Sequence[int], widths: Sequence[int], halvings: int, norm: str, attention: int | None
) -> nn.Sequential:
    """Return the residual blocks of D, each of a width, of which the first `halvings` halve the sides, and a ReLU.

    `attention` is the side of the images behind whose block there is self-attention, None for none.
    """
    blocks: list[nn.Module] = [
        ResidualBlock(i, o, halve=k < halvings, first=k == 0, norm=norm)
        for k, (i, o) in enumerate(pairwise([shape[0], *widths]))
    ]
    sides = [min(shape[1:]) >> min(k + 1, halvings) for k in range(len(blocks))]
    attended = find_attended_block("model.D.attention", attention, sides)
    if attended is not None:
        blocks[attended] = nn.Sequential(blocks[attended], SelfAttention(widths[attended]))
    return nn.Sequential(*blocks, nn.ReLU())


def init_resnet_(net: nn.Module) -> None:
    """Initialise by Xavier, with gain sqrt 2 on the residual branches, since a ReLU halves the signal there."""
    init_xavier_(net)
    for block in net.modules():
        if isinstance(block, UpBlock):
            init_xavier_(nn.ModuleList([block.conv1, block.conv2]), math.sqrt(2))
        if isinstance(block, ResidualBlock):
            init_xavier_(block.branch, math.sqrt(2))


class Generator(nn.Module):
    """z [N, z_dim], c [N] -> x [N, C, H, W] in [-1, 1]; `width` channels throughout.

    `attention` is the side of the images behind whose block there is self-attention, None for none. With `class_output`
    the last norm is conditional too; the authors' is not.
    """

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        width: int,
        attention: int | None = None,
        spectral: bool = False,
        class_output: bool = True,
    ) -> None:
        super().__init__()
        self.shape, self.z_dim, self.num_classes = tuple(shape), z_dim, num_classes
        base, n = factor_side(shape)
        self.project = nn.Sequential(nn.Linear(z_dim, width * math.prod(base)), nn.Unflatten(1, (width, *base)))
        make_norm = partial(ConditionalBatchNorm, num_classes=num_classes)
        self.blocks = nn.ModuleList(UpBlock(width, width, make_norm) for _ in range(n))
        self.norm = ConditionalBatchNorm(width, num_classes if class_output else 0)
        self.to_image = nn.Conv2d(width, shape[0], 3, padding=1)
        sides = [min(base) << k for k in range(1, n + 1)]
        self.attended = find_attended_block("model.G.attention", attention, sides)
        self.attention = None if attention is None else SelfAttention(width)
        init_resnet_(self)
        if spectral:
            spectral_norm_(self)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.project(z)
        for k, block in enumerate(self.blocks):
            x = block(x, c)
            if self.attention is not None and k == self.attended:
                x = self.attention(x)
        return self.to_image(F.relu(self.norm(x, c))).tanh()


class Discriminator(nn.Module):
    """x [N, C, H, W], c [N] -> judgement of logits [N]; `width` channels throughout, `attention` as in G."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int,
        norm: Literal["none", "batch", "layer", "instance", "group", "spectral"],
        pool: Literal["mean", "sum"],
        attention: int | None = None,
        head: HeadKind = "projection",
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        halvings = count_halvings(shape)
        self.body = make_critic_body(shape, [width] * (halvings + 2), halvings, norm, attention)
        self.pool = {"mean": Tensor.mean, "sum": Tensor.sum}[pool]
        self.head = make_head(head, width, num_classes)
        init_resnet_(self)
        if norm == "spectral":
            spectral_norm_(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        return self.head(self.pool(self.body(x), (2, 3)), c)
