"""BigGAN (Brock et al. 2019, appendix B): residual nets with a shared class embedding and z in parts.

Up to three doublings, as for 32x32, all blocks have `small_factor` times `width` channels, as the CIFAR-10 nets of the
authors' code and of StudioGAN. With four and five, as for 64x64 and 128x128, the multiples are those of the former.
Spectral normalisation is on every weight of both nets but G's class embedding.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry.nets.attention import SelfAttention, find_attended_block
from gantry.nets.contract import Judgement
from gantry.nets.heads import HeadKind, make_head
from gantry.nets.layers import ConditionalBatchNorm, embed, init_dcgan_, init_orthogonal_, one_hot
from gantry.nets.resnet import UpBlock, count_halvings, make_critic_body
from gantry.nets.resolution import factor_side
from gantry.nets.spectral import spectral_norm_

MAX_SMALL_DOUBLINGS = 3  # images of more have widths that fall as the side grows
MAX_FACTOR = 16  # of the width, at the smallest side
INITS: dict[str, Callable[[nn.Module], None]] = {"orthogonal": init_orthogonal_, "normal": init_dcgan_}


class LinearBatchNorm(nn.Module):
    """BatchNorm with the gain 1 + W v and the bias U v of a condition v, by linear layers without bias."""

    def __init__(self, features: int, condition_dim: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, eps=eps, affine=False)
        self.gain = nn.Linear(condition_dim, features, bias=False)
        self.bias = nn.Linear(condition_dim, features, bias=False)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """x [N, F, H, W], v [N, condition_dim] -> [N, F, H, W]."""
        gain, bias = 1 + self.gain(v), self.bias(v)
        return torch.addcmul(bias[:, :, None, None], gain[:, :, None, None], self.norm(x))


def compute_generator_widths(n: int, width: int, small_factor: int) -> list[int]:
    """Return the channels of G before the first block and after each of n, from coarse to fine."""
    if n <= MAX_SMALL_DOUBLINGS:
        return [small_factor * width] * (n + 1)
    return [width * min(MAX_FACTOR, 1 << (max(n, 5) - k)) for k in range(n + 1)]


def compute_critic_widths(shape: Sequence[int], width: int, small_factor: int) -> tuple[list[int], int]:
    """Return the channels of D after each block, from fine to coarse, and how many of the blocks halve the sides."""
    _, n = factor_side(shape)
    if n <= MAX_SMALL_DOUBLINGS:
        halvings = count_halvings(shape)
        return [small_factor * width] * (halvings + 2), halvings
    return [width * min(MAX_FACTOR, 1 << k) for k in range(n + 1)], n


def split_latents(z_dim: int, parts: int) -> int:
    """Return the length of each of so many parts of z. Raises ValueError if they are not equal."""
    if z_dim % parts:
        rule = f"a multiple of {parts}, a part for the first layer and one for each block"
        raise ValueError(f"model.G.z_dim must be {rule}, got {z_dim}")
    return z_dim // parts


class Generator(nn.Module):
    """z [N, z_dim], c [N] -> x [N, C, H, W] in [-1, 1].

    The norms of a block are conditioned on the class, as an embedding of `shared_dim` numbers that all blocks share
    (None: as a one-hot vector), and, if `hierarchical`, on a part of z of its own; the first layer has the first part.
    With neither, a norm has a gain and bias for each class. `attention` is as in `gantry.nets.resnet`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        width: int,
        small_factor: int,
        shared_dim: int | None,
        hierarchical: bool,
        attention: int | None,
        init: Literal["orthogonal", "normal"],
        eps: float,
    ) -> None:
        super().__init__()
        self.shape, self.z_dim, self.num_classes, self.hierarchical = tuple(shape), z_dim, num_classes, hierarchical
        base, n = factor_side(shape)
        widths = compute_generator_widths(n, width, small_factor)
        self.part_dim = split_latents(z_dim, n + 1) if hierarchical else z_dim
        linear = nn.Linear(self.part_dim, widths[0] * math.prod(base))
        self.project = nn.Sequential(linear, nn.Unflatten(1, (widths[0], *base)))
        self.embedding = nn.Embedding(num_classes, shared_dim) if num_classes and shared_dim else None
        make_norm: Callable[[int], nn.Module] = partial(ConditionalBatchNorm, num_classes=num_classes, eps=eps)
        if hierarchical or self.embedding is not None:
            class_dim = num_classes if self.embedding is None else self.embedding.embedding_dim
            condition_dim = class_dim + (self.part_dim if hierarchical else 0)
            make_norm = partial(LinearBatchNorm, condition_dim=condition_dim, eps=eps)
        self.blocks = nn.ModuleList(UpBlock(i, o, make_norm) for i, o in pairwise(widths))
        self.norm = ConditionalBatchNorm(widths[-1], 0, eps)
        self.to_image = nn.Conv2d(widths[-1], shape[0], 3, padding=1)
        self.attended = find_attended_block("model.G.attention", attention, [min(base) << k for k in range(1, n + 1)])
        self.attention = None if self.attended is None else SelfAttention(widths[self.attended + 1])
        INITS[init](self)
        spectral_norm_(self, skip=(self.embedding,))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        first, *parts = torch.split(z, self.part_dim, 1)
        x = self.project(first)
        for k, (block, condition) in enumerate(zip(self.blocks, self.make_conditions(parts, c))):
            x = block(x, condition)
            if self.attention is not None and k == self.attended:
                x = self.attention(x)
        return self.to_image(F.relu(self.norm(x, None))).tanh()

    def make_conditions(self, parts: Sequence[Tensor], c: Tensor | None) -> list[Tensor | None]:
        """Return what the norms of each block are conditioned on: class and part of z as vectors [N, d], or ids [N]."""
        y = c if self.num_classes else None
        if self.num_classes:
            assert c is not None, "a conditional generator needs classes"
            if self.embedding is not None:
                y = embed(c, self.embedding.weight)
            elif self.hierarchical:
                y = one_hot(c, self.num_classes, parts[0].dtype)
        if not self.hierarchical:
            return [y] * len(self.blocks)
        return [part if y is None else torch.cat([y, part], 1) for part in parts]


class Discriminator(nn.Module):
    """x [N, C, H, W], c [N] -> judgement of logits [N]; `attention` as in G."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int,
        small_factor: int,
        norm: Literal["none", "batch", "layer", "instance", "group", "spectral"],
        attention: int | None,
        init: Literal["orthogonal", "normal"],
        head: HeadKind = "projection",
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        widths, halvings = compute_critic_widths(shape, width, small_factor)
        self.body = make_critic_body(shape, widths, halvings, norm, attention)
        self.head = make_head(head, widths[-1], num_classes)
        INITS[init](self)
        if norm == "spectral":
            spectral_norm_(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        return self.head(self.body(x).sum((2, 3)), c)
