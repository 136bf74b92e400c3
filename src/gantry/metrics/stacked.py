"""A classifier of one channel, looking at every channel: the extractor of the stacked sets."""

from functools import reduce

import torch
from torch import Tensor, nn

from gantry.metrics.features import Features
from gantry.metrics.small_net import load_small_net


class Stacked(nn.Module):
    """Extractor: uint8 [N, 3, H, W] -> Features of the three channels, seen one by one by a small network.

    Features are laid side by side, probabilities multiplied: with 10 classes a channel, the class (a, b, c)
    has the number 100 a + 10 b + c.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = load_small_net(name)
        self.name, self.digest = f"stacked_{name}", self.net.digest
        self.resizer = f"each of 3 channels by itself: {self.net.resizer}"
        self.dim, self.num_classes = 3 * self.net.dim, self.net.num_classes**3

    @torch.no_grad()
    def forward(self, x: Tensor) -> Features:
        """x uint8 [N, 3, H, W] -> features [N, 3 F], probabilities [N, K^3]."""
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"metrics=stacked is for images of three channels, got {list(x.shape)}")
        features, probabilities = self.net(x.flatten(0, 1)[:, None])  # [3 N, 1, H, W]
        per_channel = probabilities.unflatten(0, (-1, 3)).unbind(1)
        return Features(features.unflatten(0, (-1, 3)).flatten(1), reduce(_joint, per_channel))


def _joint(p: Tensor, q: Tensor) -> Tensor:
    """p [N, K], q [N, M] -> the joint probabilities [N, K M] of independent classes."""
    return (p[:, :, None] * q[:, None, :]).flatten(1)
