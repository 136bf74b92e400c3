"""What the nets share: where the class enters, norms, first weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU, Radford et al. 2016, section 4


def join(z: Tensor, c: Tensor | None, num_classes: int) -> Tensor:
    """z [N, z_dim], c [N] -> [N, z_dim + num_classes], the class one-hot (Mirza & Osindero 2014)."""
    if num_classes == 0:
        return z
    assert c is not None, "a conditional generator needs classes"
    return torch.cat([z, F.one_hot(c, num_classes).to(z.dtype)], 1)


class Projection(nn.Module):
    """The end of every critic: features h [N, F], c [N] -> logits [N].

    The logit is linear(h), plus <embedding(c), h> where there are classes (Miyato & Koyama 2018, eq. 3).
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(num_classes, features) if num_classes else None

    def forward(self, h: Tensor, c: Tensor | None) -> Tensor:
        logits = self.linear(h).squeeze(1)
        if self.embedding is None:
            return logits
        assert c is not None, "a conditional critic needs classes"
        return logits + (self.embedding(c) * h).sum(1)


class ConditionalBatchNorm(nn.Module):
    """BatchNorm, its gain and bias by class where there are classes (Dumoulin et al. 2017, eq. 5)."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=num_classes == 0)
        self.affine = nn.Embedding(num_classes, 2 * features) if num_classes else None
        if self.affine is not None:
            nn.init.ones_(self.affine.weight[:, :features])
            nn.init.zeros_(self.affine.weight[:, features:])

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """x [N, F, H, W], c [N] -> [N, F, H, W]."""
        x = self.norm(x)
        if self.affine is None:
            return x
        assert c is not None, "a conditional generator needs classes"
        gain, bias = self.affine(c)[:, :, None, None].chunk(2, 1)  # [N, F, 1, 1] each
        return torch.addcmul(bias, gain, x)


def weights(net: nn.Module) -> list[Tensor]:
    """The weights of all convolutions, linear layers and embeddings of a net, with the biases set to zero."""
    found = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            found.append(layer.weight)
            if isinstance(bias := getattr(layer, "bias", None), Tensor):
                nn.init.zeros_(bias)
    return found


def init_dcgan_(net: nn.Module) -> None:
    """N(0, 0.02) everywhere (Radford et al. 2016, section 4): for nets whose norms mend the scale."""
    for weight in weights(net):
        nn.init.normal_(weight, std=0.02)


def init_he_(net: nn.Module) -> None:
    """N(0, 2 / ((1 + slope^2) fan_in)) (He et al. 2015, eq. 15): where no norm keeps the scale."""
    for weight in weights(net):
        nn.init.kaiming_normal_(weight, a=SLOPE)


def init_xavier_(net: nn.Module, gain: float = 1.0) -> None:
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    for weight in weights(net):
        nn.init.xavier_uniform_(weight, gain)
