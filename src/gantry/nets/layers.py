"""Layers shared by the nets: class conditioning, norms and weight initialisation."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 0.2  # Radford et al. 2016, section 4
MAX_GROUPS = 32  # Wu & He 2018, section 3

NORMS_2D: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "layer": lambda features: nn.GroupNorm(1, features),
    "instance": lambda features: nn.InstanceNorm2d(features, affine=True),
    "group": lambda features: nn.GroupNorm(math.gcd(MAX_GROUPS, features), features),
    "spectral": lambda _: nn.Identity(),  # a norm of weights, not of features
}


def one_hot(c: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Return class ids int64 [N] as one-hot vectors [N, K], and vectors float [N, K] as they are, in a dtype."""
    if c.is_floating_point():
        return c.to(dtype)
    vectors = c[:, None] == torch.arange(num_classes, device=c.device)  # F.one_hot synchronises on some devices
    return vectors.to(dtype)


def concat_one_hot(z: Tensor, c: Tensor | None, num_classes: int) -> Tensor:
    """Append the one-hot class (Mirza & Osindero 2014): z [N, z_dim], c [N] -> [N, z_dim + num_classes]."""
    if num_classes == 0:
        return z
    assert c is not None, "a conditional generator needs classes"
    return torch.cat([z, one_hot(c, num_classes, z.dtype)], 1)


def embed(c: Tensor, weight: Tensor) -> Tensor:
    """Return the rows of weight [K, F] that ids c [N] name, or their mixture by vectors c [N, K]: -> [N, F]."""
    return c.to(weight.dtype) @ weight if c.is_floating_point() else F.embedding(c, weight)


class LatentCondition(nn.Module):
    """z [N, z_dim], c [N] -> the input of G [N, dim]: z and the one-hot class, or z * embedding(c), elementwise."""

    def __init__(self, z_dim: int, num_classes: int, condition: str) -> None:
        super().__init__()
        self.num_classes, is_product = num_classes, condition == "product" and num_classes > 0
        self.dim = z_dim if is_product else z_dim + num_classes
        self.weight = nn.Parameter(torch.randn(num_classes, z_dim)) if is_product else None

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        if self.weight is None:
            return concat_one_hot(z, c, self.num_classes)
        assert c is not None, "a conditional generator needs classes"
        return z * embed(c, self.weight)


class ConditionalBatchNorm(nn.Module):
    """BatchNorm, with one gain and bias for each class if there are classes (Dumoulin et al. 2017, eq. 5)."""

    def __init__(self, features: int, num_classes: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, eps=eps, affine=num_classes == 0)
        if num_classes:
            self.gain = nn.Parameter(torch.ones(num_classes, features))
            self.bias = nn.Parameter(torch.zeros(num_classes, features))

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """x [N, F, H, W], c [N] -> [N, F, H, W]."""
        x = self.norm(x)
        if self.norm.affine:
            return x
        assert c is not None, "a conditional generator needs classes"
        gain, bias = embed(c, self.gain), embed(c, self.bias)  # [N, F]
        return torch.addcmul(bias[:, :, None, None], gain[:, :, None, None], x)


def init_weights_(net: nn.Module, fill: Callable[[Tensor], object]) -> None:
    """Fill the weights of all convolutions, linear layers and embeddings of a net; set their biases to 0."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            fill(layer.weight)
            if isinstance(bias := getattr(layer, "bias", None), Tensor):
                nn.init.zeros_(bias)


def init_dcgan_(net: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) (Radford et al. 2016, section 4): for nets whose norms correct the scale."""
    init_weights_(net, partial(nn.init.normal_, std=0.02))


def init_he_(net: nn.Module) -> None:
    """Draw weights from N(0, 2 / ((1 + slope^2) fan_in)) (He et al. 2015, eq. 15): for nets without such norms."""
    init_weights_(net, partial(nn.init.kaiming_normal_, a=LEAKY_SLOPE))


def init_xavier_(net: nn.Module, gain: float = 1.0) -> None:
    """Draw weights from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    init_weights_(net, partial(nn.init.xavier_uniform_, gain=gain))


def init_orthogonal_(net: nn.Module) -> None:
    """Draw weights as matrices [rows, rest] of orthonormal rows or columns (Saxe et al. 2014; Brock et al. 2019)."""
    init_weights_(net, nn.init.orthogonal_)
