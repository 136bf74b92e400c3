"""The nets of R3GAN (Huang et al. 2024, section 4 and appendix): residual bottlenecks with grouped convolutions.

No normalisation: the weights of a branch start so small that the sum of all L branches keeps the scale of the signal
(Zhang et al. 2019, Fixup), and the last convolution of a branch starts at 0. The only biases are in the activations.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry.nets.contract import Judgement
from gantry.nets.layers import LEAKY_SLOPE, embed
from gantry.nets.resample import make_downsample, make_upsample
from gantry.nets.resolution import choose_widths

EXPANSION = 2  # channels within a bottleneck, per channel around it
ACTIVATION_GAIN = math.sqrt(2 / (1 + LEAKY_SLOPE**2))  # He et al. 2015, eq. 15


class BiasedLeakyReLU(nn.Module):
    """x [N, C, H, W] -> leaky_relu(x + b), with a bias b for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias.to(x.dtype).view(-1, 1, 1), LEAKY_SLOPE)


class BottleneckBlock(nn.Module):
    """x [N, C, H, W] -> x + branch: 1x1 to twice the channels, 3x3 in groups of `group_size` channels, 1x1 back.

    L is the number of blocks of the net.
    """

    def __init__(self, width: int, group_size: int, L: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.branch = nn.Sequential(
            make_conv(width, inner, 1, gain=ACTIVATION_GAIN * L**-0.25),
            BiasedLeakyReLU(inner),
            make_conv(inner, inner, 3, groups=inner // group_size, gain=ACTIVATION_GAIN * L**-0.25),
            BiasedLeakyReLU(inner),
            make_conv(inner, width, 1, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def make_conv(i: int, o: int, kernel: int, *, groups: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """Return a convolution without bias that keeps the side, with weights from N(0, gain^2 / fan_in)."""
    conv = nn.Conv2d(i, o, kernel, padding=kernel // 2, groups=groups, bias=False)
    nn.init.normal_(conv.weight, std=gain / math.sqrt(conv.weight[0].numel()))
    return conv


def make_matrix(rows: int, columns: int, fan_in: int, gain: float = 1.0) -> nn.Parameter:
    """Return a matrix [rows, columns] from N(0, gain^2 / fan_in)."""
    return nn.Parameter(torch.randn(rows, columns) * gain / math.sqrt(fan_in))


def make_transition(i: int, o: int) -> nn.Module:
    """Return a 1x1 convolution where the number of channels changes."""
    return make_conv(i, o, 1) if i != o else nn.Identity()


def make_stages(widths: Sequence[int], blocks: Sequence[int], group_size: int) -> list[nn.Sequential]:
    """Return the blocks of each side, in the order of the widths."""
    L = sum(blocks)
    return [nn.Sequential(*(BottleneckBlock(w, group_size, L) for _ in range(b))) for w, b in zip(widths, blocks)]


def choose_stages(
    net: str, shape: Sequence[int], widths: Sequence[int], blocks: Sequence[int], group_size: int
) -> tuple[tuple[int, int], list[int], list[int]]:
    """Return the coarsest (h, w) of images of a shape, and the widths and blocks of the sides from there on.

    Raises ValueError, naming the key of `net`, where the lists are too short for the shape or do not divide.
    """
    base, chosen = choose_widths(f"model.{net}.widths", shape, widths)
    _, chosen_blocks = choose_widths(f"model.{net}.blocks", shape, blocks)
    if any(EXPANSION * width % group_size for width in chosen):
        rule = f"multiples of {group_size // math.gcd(EXPANSION, group_size)}, for groups of {group_size}"
        raise ValueError(f"model.{net}.widths must be {rule}, got {list(widths)}")
    return base, chosen, chosen_blocks


class Generator(nn.Module):
    """z [N, z_dim], c [N] or [N, K] -> x [N, C, H, W], about in [-1, 1]: there is no tanh.

    `widths` and `blocks` are the channels and the number of blocks of each side, from the coarsest on; sides that the
    shape does not have are left out.
    """

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        widths: Sequence[int],
        blocks: Sequence[int],
        group_size: int,
        embed_dim: int,
    ) -> None:
        super().__init__()
        self.shape, self.z_dim, self.num_classes = tuple(shape), z_dim, num_classes
        base, widths, blocks = choose_stages("G", shape, widths, blocks, group_size)
        self.embedding = make_matrix(num_classes, embed_dim, num_classes) if num_classes else None
        inputs = z_dim + embed_dim * (num_classes > 0)
        self.project = make_matrix(inputs, widths[0], inputs)
        self.basis = nn.Parameter(torch.randn(widths[0], *base))
        self.stages = nn.ModuleList(make_stages(widths, blocks, group_size))
        self.transitions = nn.ModuleList(make_transition(i, o) for i, o in pairwise(widths))
        self.upsample = make_upsample()
        self.to_image = make_conv(widths[-1], shape[0], 1)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            assert c is not None, "a conditional generator needs classes"
            z = torch.cat([z, embed(c, self.embedding)], 1)
        x = self.stages[0]((z @ self.project)[:, :, None, None] * self.basis)
        for transition, stage in zip(self.transitions, self.stages[1:]):
            x = stage(self.upsample(transition(x)))  # a 1x1 convolution costs a quarter before the upsampling
        return self.to_image(x)


class Discriminator(nn.Module):
    """x [N, C, H, W], c [N] or [N, K] -> judgement of logits [N]; `widths` and `blocks` as for G.

    With classes the logit is the dot product of the features and an embedding of the class, and nothing else.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        widths: Sequence[int],
        blocks: Sequence[int],
        group_size: int,
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        base, widths, blocks = choose_stages("D", shape, widths, blocks, group_size)
        widths, blocks, features = widths[::-1], blocks[::-1], widths[0]
        self.from_image = make_conv(shape[0], widths[0], 1)
        self.stages = nn.ModuleList(make_stages(widths, blocks, group_size))
        self.transitions = nn.ModuleList(make_transition(i, o) for i, o in pairwise(widths))
        self.downsample = make_downsample()
        self.basis = nn.Parameter(torch.randn(features, *base) / math.sqrt(base[0] * base[1]))
        self.head = make_matrix(features, features if num_classes else 1, features)
        gain = 1 / math.sqrt(features)
        self.embedding = make_matrix(num_classes, features, num_classes, gain) if num_classes else None

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        x = self.stages[0](self.from_image(x))
        for transition, stage in zip(self.transitions, self.stages[1:]):
            x = stage(transition(self.downsample(x)))
        features = (x * self.basis).sum((2, 3))
        h = features @ self.head
        if self.embedding is None:
            return Judgement(h.squeeze(1), features)
        assert c is not None, "a conditional critic needs classes"
        return Judgement((h * embed(c, self.embedding)).sum(1), features)
