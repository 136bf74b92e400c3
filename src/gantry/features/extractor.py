"""What an extractor makes of images: the features that statistics are taken of, and class probabilities."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn


class ExtractorOutput(NamedTuple):
    """features float32 [N, F]; probabilities float32 [N, K], each row sums to 1, or None: no classifier."""

    features: Tensor
    probabilities: Tensor | None = None


class Extractor(Protocol):
    """uint8 [N, 1 or 3, H, W] -> Features: a frozen nn.Module in evaluation mode with these attributes.

    `name` appears in the names of the metrics (`fd_digits`), `dim` is F, `num_classes` is K (0: no
    classifier), `digest` is the sha256 of the weights. An attribute `resizer`, if there is one, tells the
    protocol what is done to images of another size or number of channels.
    """

    name: str
    dim: int
    num_classes: int
    digest: str

    def __call__(self, x: Tensor, /) -> ExtractorOutput: ...

    def to(self, device: torch.device, /) -> Any: ...


class PointExtractor(nn.Module):
    """Points of the plane are their own features: x float [N, 2] -> Features."""

    name, dim, num_classes, digest, resizer = "points", 2, 0, "", "none"

    def forward(self, x: Tensor) -> ExtractorOutput:
        """x float [N, 2] -> the same numbers."""
        return ExtractorOutput(x.float())


def get_resizer(extractor: Extractor) -> str:
    """What the extractor does to images of another size or number of channels, in words."""
    return str(getattr(extractor, "resizer", "none"))


INCEPTION = "inception"  # the name of the extractor with the published weights (2015-12-05), and of no other
