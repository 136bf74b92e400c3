"""Dense nets (Goodfellow et al. 2014), for images of any shape and for points in the plane."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from gantry.nets.contract import Judgement
from gantry.nets.heads import HeadKind, make_head
from gantry.nets.layers import LEAKY_SLOPE, LatentCondition, init_he_
from gantry.nets.spectral import spectral_norm_

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(LEAKY_SLOPE)}
NORMS_1D: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "spectral": lambda _: nn.Identity(),  # a norm of weights, not of features
}


def make_dense_layers(widths: Sequence[int], norm: str, activation: str) -> nn.Sequential:
    """Return linear, norm and activation from each width to the next: [N, widths[0]] -> [N, widths[-1]]."""
    blocks = ([nn.Linear(i, o), NORMS_1D[norm](o), ACTIVATIONS[activation]()] for i, o in pairwise(widths))
    return nn.Sequential(*(layer for block in blocks for layer in block))


class Generator(nn.Module):
    """z [N, z_dim], c [N] -> x [N, *shape] in [-1, 1]."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        num_classes: int = 0,
        *,
        hidden: Sequence[int],
        norm: Literal["none", "batch"],
        activation: Literal["relu", "leaky"],
        condition: Literal["concat", "product"] = "concat",
    ) -> None:
        super().__init__()
        self.condition = LatentCondition(z_dim, num_classes, condition)
        self.shape, self.z_dim, self.num_classes = tuple(shape), z_dim, num_classes
        widths = [self.condition.dim, *hidden]
        self.body = make_dense_layers(widths, norm, activation)
        self.head = nn.Sequential(nn.Linear(widths[-1], math.prod(shape)), nn.Tanh(), nn.Unflatten(1, self.shape))
        init_he_(self)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.head(self.body(self.condition(z, c)))


class Discriminator(nn.Module):
    """x [N, *shape], c [N] -> judgement of logits [N]."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        hidden: Sequence[int],
        norm: Literal["none", "batch", "layer", "spectral"],
        head: HeadKind = "projection",
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        widths = [math.prod(shape), *hidden]
        self.body = make_dense_layers(widths, norm, "leaky")
        self.head = make_head(head, widths[-1], num_classes)
        init_he_(self)
        if norm == "spectral":
            spectral_norm_(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Judgement:
        return self.head(self.body(x.flatten(1)), c)
