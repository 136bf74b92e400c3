"""The blocks of StyleGAN2, one for each side of the images (Karras et al. 2020, CVPR, Figures 2 and 7)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gantry.nets.equalised import EqualConv, ModulatedConv, activate
from gantry.nets.resample import make_downsample, make_upsample

Kind = Literal["skip", "resnet", "orig"]
RESIDUAL_GAIN = math.sqrt(0.5)  # of both parts of a sum


class StyledLayer(nn.Module):
    """x [N, i, H, W], w [N, w_dim], noise [N, pixels] or None -> [N, o, H, W], or [N, o, 2H, 2W] with `up`."""

    def __init__(self, i: int, o: int, w_dim: int, up: bool, gain: float, clamp: float | None) -> None:
        super().__init__()
        self.conv = ModulatedConv(i, o, 3, w_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(o))
        self.gain, self.clamp = gain, clamp

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        x = self.conv(x, w)
        if noise is not None:
            x = x + (noise * self.noise_strength).to(x.dtype).view(-1, 1, *x.shape[2:])
        return activate(x + self.bias.to(x.dtype)[:, None, None], self.gain, self.clamp)


class ToImage(nn.Module):
    """x [N, i, H, W], w [N, w_dim] -> an image [N, C, H, W]."""

    def __init__(self, i: int, channels: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.conv = ModulatedConv(i, channels, 1, w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.conv(x, w) + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """The layers of one side: x [N, i, H, W] and the image so far -> x [N, o, 2H, 2W] and the image of that side.

    The `first` block keeps the side of its x. The image is None before the first block that makes one.
    """

    def __init__(
        self, i: int, o: int, w_dim: int, channels: int, kind: Kind, first: bool, last: bool, clamp: float | None
    ) -> None:
        super().__init__()
        residual = kind == "resnet" and not first
        gain = RESIDUAL_GAIN if residual else 1.0
        layers = [StyledLayer(o, o, w_dim, False, gain, clamp)]
        self.layers = nn.ModuleList(layers if first else [StyledLayer(i, o, w_dim, True, 1.0, clamp), *layers])
        self.shortcut = EqualConv(i, o, 1, bias=False, up=True) if residual else None
        self.to_image = ToImage(o, channels, w_dim, clamp) if last or kind == "skip" else None
        self.upsample = make_upsample()

    def forward(
        self, x: Tensor, image: Tensor | None, w: Sequence[Tensor], noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """`w` has one style for each layer, and one for the image; `noise` one for each layer."""
        shortcut = None if self.shortcut is None else self.shortcut(x) * RESIDUAL_GAIN
        for layer, style, numbers in zip(self.layers, w, noise):
            x = layer(x, style, numbers)
        x = x if shortcut is None else x + shortcut
        if self.to_image is not None:
            part = self.to_image(x, w[len(self.layers)])
            image = part if image is None else self.upsample(image) + part
        return x, image


class CriticBlock(nn.Module):
    """The layers of one side: x [N, i, H, W] and the image of that side -> x [N, o, H / 2, W / 2] and the next image.

    x is None in the first block; the image is None where later blocks do not look at it.
    """

    def __init__(self, i: int, o: int, channels: int, kind: Kind, first: bool, clamp: float | None) -> None:
        super().__init__()
        self.from_image = EqualConv(channels, i, 1) if first or kind == "skip" else None
        self.conv1 = EqualConv(i, i, 3)
        self.conv2 = EqualConv(i, o, 3, down=True)
        self.shortcut = EqualConv(i, o, 1, bias=False, down=True) if kind == "resnet" else None
        self.downsample = make_downsample() if kind == "skip" else None
        self.clamp = clamp

    def forward(self, x: Tensor | None, image: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.from_image is not None:
            seen = activate(self.from_image(image), clamp=self.clamp)
            x = seen if x is None else x + seen
        assert x is not None
        h = activate(self.conv1(x), clamp=self.clamp)
        gain = 1.0 if self.shortcut is None else RESIDUAL_GAIN
        h = activate(self.conv2(h), gain, self.clamp)
        h = h if self.shortcut is None else h + self.shortcut(x) * RESIDUAL_GAIN
        return h, None if self.downsample is None else self.downsample(image)
