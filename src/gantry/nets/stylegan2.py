"""The nets of StyleGAN2 (Karras et al. 2020, CVPR), with the settings of StyleGAN2-ADA (Karras et al. 2020, NeurIPS).

G maps z to a style w, and synthesizes an image by convolutions that w modulates, with noise in each layer. The noise is
read from z, behind its first z_dim numbers. `kind` is the way that images of several sides come together (2020, Figure
7): a sum of images ("skip"), residual blocks ("resnet"), or neither ("orig").
"""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from gantry.nets.contract import Judgement
from gantry.nets.equalised import (
    EqualConv,
    EqualEmbedding,
    EqualLinear,
    activate,
    append_deviation,
    normalise_second_moment,
)
from gantry.nets.resolution import choose_widths
from gantry.nets.stylegan2_blocks import CriticBlock, Kind, SynthesisBlock

MAPPING_LR = 0.01  # times the learning rate (Karras et al. 2019, appendix C)
W_AVG_BETA = 0.995
CRITIC_MAPPING_LAYERS = 8  # of the class embedding; the authors' `cifar` has fewer in G only


class Mapping(nn.Module):
    """z [N, z_dim], c -> w [N, w_dim]: dense layers of the normalised z and class embedding. z_dim may be 0."""

    def __init__(self, z_dim: int, num_classes: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.embedding = EqualEmbedding(num_classes, w_dim) if num_classes else None
        widths = [z_dim + w_dim * (num_classes > 0), *[w_dim] * layers]
        self.layers = nn.ModuleList(EqualLinear(i, o, lr=MAPPING_LR) for i, o in pairwise(widths))

    def forward(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):  # it is small, and the styles of all layers depend on it
            parts = [] if z is None else [normalise_second_moment(z)]
            if self.embedding is not None:
                assert c is not None, "a conditional net needs classes"
                parts.append(normalise_second_moment(self.embedding(c)))
            x = torch.cat(parts, 1)
            for layer in self.layers:
                x = activate(layer(x))
        return x


class Generator(nn.Module):
    """z [N, z_dim + noise_dim], c [N] or [N, K] -> x [N, C, H, W], about in [-1, 1]: there is no tanh.

    `widths` are the channels of each side from the coarsest on; sides that the shape does not have are left out. Behind
    z_dim, z has for style mixing, where its probability `mixing` is not 0, a second latent and one number for the
    crossover, then the noise of all layers. Styles are mixed, and `w_avg`, the average of w, moves, in training alone.

    w_avg moves at each pass by 0.005 of the way to the mean w of the samples. This is linear, so the mean of the
    averages of several processes, which is taken at the end of a turn, is that over the whole batch.
    """

    w_avg: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        w_dim: int,
        mapping_layers: int,
        widths: Sequence[int],
        kind: Kind,
        mixing: float = 0.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.z_dim, self.num_classes, self.mixing, self.psi = tuple(shape), z_dim, num_classes, mixing, 1.0
        (height, width), widths = choose_widths("model.G.widths", shape, widths)
        self.mapping = Mapping(z_dim, num_classes, w_dim, mapping_layers)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.constant = nn.Parameter(torch.randn(widths[0], height, width))
        last = len(widths) - 1
        self.blocks = nn.ModuleList(
            SynthesisBlock(i, o, w_dim, shape[0], kind, k == 0, k == last, clamp)
            for k, (i, o) in enumerate(pairwise([widths[0], *widths]))
        )
        self.layers_per_block = [1] + last * [2]
        self.noise_sizes = [height * width << 2 * k for k, n in enumerate(self.layers_per_block) for _ in range(n)]
        self.num_ws = len(self.noise_sizes) + 1
        self.noise_dim = sum(self.noise_sizes) + (z_dim + 1 if mixing else 0)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        assert z.shape[1] == self.z_dim + self.noise_dim, "z must have z_dim + noise_dim numbers"
        return self.synthesize(self.map(z, c), self.select_noise(z))

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the styles of all layers: z [N, z_dim or more], c -> w [N, num_ws, w_dim]; the noise in z is not used.

        They are truncated in evaluation, and mixed in training.
        """
        w = self.mapping(z[:, : self.z_dim], c)
        if self.training:
            self.w_avg.lerp_(w.detach().mean(0), 1 - W_AVG_BETA)
        elif self.psi != 1:
            w = self.w_avg.lerp(w, self.psi)  # Karras et al. 2019, appendix B
        styles = w[:, None].expand(-1, self.num_ws, -1)
        if not self.training or not self.mixing or z.shape[1] == self.z_dim:
            return styles
        other = self.mapping(z[:, self.z_dim : 2 * self.z_dim], c)[:, None]
        return torch.where(self.draw_crossover(z[:, 2 * self.z_dim])[:, :, None], styles, other)

    def draw_crossover(self, number: Tensor) -> Tensor:
        """Return which layers keep their own style: standard normal [N] -> bool [N, num_ws] (2019, section 3.1).

        With the probability `mixing` the layers from a uniform one of 1 .. num_ws - 1 on take the other one.
        """
        u = torch.special.ndtr(number)[:, None]  # uniform
        first = 1 + (u / self.mixing * (self.num_ws - 1)).floor()
        return (torch.arange(self.num_ws, device=u.device) < first) | (u >= self.mixing)

    def select_noise(self, z: Tensor) -> Tensor:
        """Return the part of z [N, z_dim + noise_dim] that is the noise of all layers: -> [N, pixels]."""
        return z[:, self.z_dim + self.noise_dim - sum(self.noise_sizes) :]

    def synthesize(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return images x [N, C, H, W] of styles w [N, num_ws, w_dim] and noise [N, pixels], None for no noise."""
        sizes = self.noise_sizes
        parts: Sequence[Tensor | None] = [None] * len(sizes) if noise is None else torch.split(noise, sizes, 1)
        x, image, start = self.constant.expand(len(w), -1, -1, -1), None, 0
        for block, layers in zip(self.blocks, self.layers_per_block):
            stop = start + layers
            x, image = block(x, image, w[:, start : stop + 1].unbind(1), parts[start:stop])
            start = stop  # the style of a side's image is that of the next side's first layer
        assert image is not None
        return image

    def truncate(self, psi: float) -> Self:
        """Return this net with styles w_avg + psi (w - w_avg) in evaluation; it shares all weights."""
        other = copy.copy(self)
        other.psi = psi
        return other


class Discriminator(nn.Module):
    """x [N, C, H, W], c [N] or [N, K] -> judgement of logits [N]; `widths` from the coarsest side on, as for G.

    Its last layers see the variety of each `group` of consecutive samples, so a batch is a multiple of `group`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        widths: Sequence[int],
        kind: Kind,
        group: int,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.num_classes, self.group, self.clamp = tuple(shape), num_classes, group, clamp
        (height, width), widths = choose_widths("model.D.widths", shape, widths)
        pairs = enumerate(pairwise(widths[::-1]))
        self.blocks = nn.ModuleList(CriticBlock(i, o, shape[0], kind, k == 0, clamp) for k, (i, o) in pairs)
        features = widths[0]
        self.from_image = EqualConv(shape[0], features, 1) if kind == "skip" else None
        self.conv = EqualConv(features + 1, features, 3)
        self.linear = EqualLinear(features * height * width, features)
        self.head = EqualLinear(features, features if num_classes else 1)
        self.mapping = Mapping(0, num_classes, features, CRITIC_MAPPING_LAYERS) if num_classes else None

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        h: Tensor | None = None
        image: Tensor | None = x
        for block in self.blocks:
            h, image = block(h, image)
        assert h is not None
        if self.from_image is not None:
            h = h + activate(self.from_image(image), clamp=self.clamp)
        h = activate(self.conv(append_deviation(h, self.group)), clamp=self.clamp)
        features = activate(self.linear(h.flatten(1)))
        h = self.head(features)
        if self.mapping is None:
            return Judgement(h.squeeze(1), features)
        w = self.mapping(None, c)  # a projection onto the class
        return Judgement((h * w).sum(1) / math.sqrt(w.shape[1]), features)
