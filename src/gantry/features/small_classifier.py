"""Small classifiers that ship with Gantry: their features replace Inception's, without a download.

One plain family. A fixed 2x2 stem whitens patches (each principal direction with both signs: 8 C channels), stages of
two 3x3 convolutions halve the side, the mean over positions gives the features and one linear layer the classes. The
batch norms of training are folded into the convolutions, so that the features of an image do not depend on the other
images of its batch. Recipe: benchmarks/train_small_net.py. Accuracies: docs/small_networks.md.
"""

import hashlib
from dataclasses import dataclass
from functools import reduce
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from gantry.errors import UserError
from gantry.features.arithmetic import apply_arithmetic
from gantry.features.extractor import ExtractorOutput
from gantry.features.preprocessing import resize_and_standardize

SMALL_NET_WEIGHTS = resources.files("gantry.features").joinpath("weights")


@dataclass(frozen=True)
class SmallNetSpec:
    """The images that a network takes, and the channels of its stages; those of the last stage are its features."""

    channels: int
    side: int
    widths: tuple[int, ...]
    num_classes: int = 10


SMALL_NET_SPECS = {
    "digits": SmallNetSpec(channels=1, side=8, widths=(32, 64)),
    "mnist": SmallNetSpec(channels=1, side=28, widths=(32, 64, 128)),
    "cifar10": SmallNetSpec(channels=3, side=32, widths=(64, 256, 256)),
}


class SmallNetStage(nn.Module):
    """[N, c_in, H, W] -> [N, c_out, H // 2, W // 2]."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.keep = nn.Conv2d(c_out, c_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(F.max_pool2d(self.down(x), 2))
        return F.gelu(self.keep(x))


class SmallNet(nn.Module):
    """Extractor: uint8 images [N, 1 or 3, H, W] -> ExtractorOutput in float32, each image by itself.

    `size` is the (C, H, W) to which images are converted. `digest` is that of the weights file, empty if there is none.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, digest: str = "") -> None:
        super().__init__()
        spec = SMALL_NET_SPECS[name]
        self.name, self.digest = name, digest
        self.dim, self.num_classes = spec.widths[-1], spec.num_classes
        self.size = (spec.channels, spec.side, spec.side)
        self.resizer = f"bilinear, antialiased, to {spec.channels}x{spec.side}x{spec.side}"
        self.register_buffer("mean", torch.zeros(spec.channels, 1, 1))
        self.register_buffer("std", torch.ones(spec.channels, 1, 1))
        widths = (8 * spec.channels, *spec.widths)
        self.stem = nn.Conv2d(spec.channels, widths[0], 2)
        self.stages = nn.Sequential(*[SmallNetStage(c_in, c_out) for c_in, c_out in pairwise(widths)])
        self.head = nn.Linear(self.dim, self.num_classes)

    @torch.no_grad()
    def forward(self, images: Tensor) -> ExtractorOutput:
        """images uint8 [N, 1 or 3, H, W] -> features [N, dim], probabilities [N, num_classes]."""
        with apply_arithmetic(images.device):
            features = self.extract_features(self.preprocess(images)).float()
        # a sum of products, not a matrix product, which may run in TF32
        logits = (features.unsqueeze(1) * self.head.weight).sum(2) + self.head.bias
        return ExtractorOutput(features, logits.softmax(1))

    def preprocess(self, images: Tensor) -> Tensor:
        """images uint8 [N, 1 or 3, H, W] -> float32 [N, *size], standardised as the training images were.

        Raises ValueError for anything but such images.
        """
        return resize_and_standardize(images, self.size, self.mean, self.std)

    def extract_features(self, x: Tensor) -> Tensor:
        """x standardised [N, *size] -> [N, dim], differentiable."""
        return self.stages(F.gelu(self.stem(x))).mean((2, 3))


def load_small_net(name: str, folder: Traversable = SMALL_NET_WEIGHTS) -> SmallNet:
    """Return the network `name`, frozen and in eval mode, on the CPU. The file holds float16, the network float32.

    Raises ValueError for an unknown name.
    """
    if name not in SMALL_NET_SPECS:
        raise ValueError(
            f"metrics.extractor.name or data.small_net must be one of {', '.join(SMALL_NET_SPECS)}, got {name}"
        )
    data = folder.joinpath(f"{name}.safetensors").read_bytes()
    net = SmallNet(name, hashlib.sha256(data).hexdigest())
    net.load_state_dict({key: value.float() for key, value in load(data).items()})
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # half the time on a CPU


class StackedClassifier(nn.Module):
    """Extractor: uint8 [N, 3, H, W] -> ExtractorOutput of the three channels, each classified by itself.

    Features are concatenated, probabilities multiplied: with 10 classes a channel, the class (a, b, c) has the number
    100 a + 10 b + c.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = load_small_net(name)
        self.channels = (3,)
        self.name, self.digest = f"stacked_{name}", self.net.digest
        self.resizer = f"each of 3 channels by itself: {self.net.resizer}"
        self.dim, self.num_classes = 3 * self.net.dim, self.net.num_classes**3

    @torch.no_grad()
    def forward(self, x: Tensor) -> ExtractorOutput:
        """x uint8 [N, 3, H, W] -> features [N, 3 F], probabilities [N, K^3]."""
        if x.dim() != 4 or x.shape[1] != 3:
            raise UserError(f"metrics=stacked is for images of three channels, got {list(x.shape)}")
        features, probabilities = self.net(x.flatten(0, 1)[:, None])  # [3 N, 1, H, W]
        per_channel = probabilities.unflatten(0, (-1, 3)).unbind(1)
        return ExtractorOutput(features.unflatten(0, (-1, 3)).flatten(1), reduce(_joint_probabilities, per_channel))


def _joint_probabilities(p: Tensor, q: Tensor) -> Tensor:
    """p [N, K], q [N, M] -> the joint probabilities [N, K M] of independent classes."""
    return (p[:, :, None] * q[:, None, :]).flatten(1)
