"""What an extractor makes of images: the features that statistics are taken of, and class probabilities."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Features(NamedTuple):
    """features float32 [N, F]; probabilities float32 [N, K], rows summing to 1, or None without a classifier."""

    features: Tensor
    probabilities: Tensor | None = None


class Extractor(Protocol):
    """uint8 [N, 1 or 3, H, W] -> Features. An nn.Module in evaluation mode that has these attributes.

    `name` appears in the names of the metrics (`fd_digits`), `dim` is F, `resizer` says what is done to images
    of another size or channel count, `digest` is the sha256 of the weights.
    """

    name: str
    dim: int
    digest: str
    resizer: str

    def __call__(self, x: Tensor) -> Features: ...
