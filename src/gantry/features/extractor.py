"""Extractors: networks that turn images into the features that scores compare, and into class probabilities."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gantry.errors import UserError
from gantry.features.arithmetic import use_arithmetic
from gantry.features.preprocessing import composite_opacity
from gantry.pixels import to_uint8

MAX_ABS_SAMPLE_VALUE = 16.0  # a generator without tanh may leave [-1, 1] a little; larger values mean another range


class ExtractorOutput(NamedTuple):
    """features float32 [N, F]; probabilities float32 [N, K], each row sums to 1, or None: no classifier."""

    features: Tensor
    probabilities: Tensor | None = None


class Extractor(Protocol):
    """uint8 [N, 1 or 3, H, W] -> ExtractorOutput: a frozen nn.Module in evaluation mode with these attributes.

    `name` appears in the names of the metrics (`fd_digits`), `dim` is F, `num_classes` is K (0: no classifier) and
    `digest` the sha256 of the weights. An optional attribute `resizer` describes, for the protocol, how images of
    another size or number of channels are converted, `channels` are the numbers of channels that it takes if these are
    not 1 and 3.
    """

    name: str
    dim: int
    num_classes: int
    digest: str

    def __call__(self, x: Tensor, /) -> ExtractorOutput: ...

    def to(self, device: torch.device, /) -> Any: ...


def extract_features(extractor: Extractor, x: Tensor, arithmetic: str = "float32") -> ExtractorOutput:
    """Return the features of x: float [N, *shape] in [-1, 1], uint8 [N, C, H, W] or points float [N, 2].

    Where the extractor takes no opacity, two channels are laid on white and become grey, four become colour. The
    features of a sample that is not finite, or far out of range, are NaN, and so are features that overflow.
    """
    valid = find_valid_samples(x)
    if x.dim() == 4:
        x = to_uint8(x) if x.is_floating_point() else x
        x = composite_opacity(x) if needs_compositing(extractor, x.shape[1]) else x
    with use_arithmetic(arithmetic):
        features, probabilities = extractor(x)
    return ExtractorOutput(features.where(valid[:, None] & features.isfinite(), torch.nan), probabilities)


def find_valid_samples(x: Tensor) -> Tensor:
    """Return True for samples [N, ...] that are bytes, or finite and in range: -> bool [N]."""
    if not x.is_floating_point():  # an extractor refuses all integers but uint8
        return torch.ones(len(x), dtype=torch.bool, device=x.device)
    return (x.abs() <= MAX_ABS_SAMPLE_VALUE).flatten(1).all(1)  # False for NaN as well


def count_invalid_rows(features: Tensor) -> Tensor:
    """Return the number of rows of features [N, F] that are not finite: -> int64 []."""
    return (~features.isfinite().all(1)).sum()


def check_validity(num_invalid: Tensor, count: int, of_bytes: bool = False) -> None:
    """Raise ValueError if some of `count` samples are invalid; the features of bytes are so by the extractor alone."""
    if num_invalid > 0 and of_bytes:
        raise UserError(
            f"metrics.extractor must give finite features, got NaN or infinity for {int(num_invalid)} of {count} images"
        )
    if num_invalid > 0:
        raise UserError(f"samples must be finite and in [-1, 1], got {int(num_invalid)} of {count} that are not")


class PointExtractor(nn.Module):
    """Points of the plane are their own features: x float [N, 2] -> ExtractorOutput."""

    name, dim, num_classes, digest, resizer = "points", 2, 0, "", "none"

    def forward(self, x: Tensor) -> ExtractorOutput:
        """x float [N, 2] -> the same numbers."""
        return ExtractorOutput(x.float())


def describe_preprocessing(extractor: Extractor, *shapes: tuple[int, ...]) -> str:
    """Return the description of how images of these shapes become the input of an extractor."""
    resizer = str(getattr(extractor, "resizer", "none"))
    has_opacity = any(len(shape) == 3 and needs_compositing(extractor, shape[0]) for shape in shapes)
    return f"opacity laid on white; {resizer}" if has_opacity else resizer


def get_channels(extractor: Extractor) -> tuple[int, ...]:
    """Return the numbers of channels that an extractor takes."""
    return tuple(getattr(extractor, "channels", (1, 3)))


def needs_compositing(extractor: Extractor, channels: int) -> bool:
    """Return True for images whose last channel is opacity, which the extractor does not take."""
    return channels in (2, 4) and channels not in get_channels(extractor)


def check_channels(extractor: Extractor, channels: int, what: str) -> None:
    """Raise UserError for images with more channels than the extractor can be given."""
    known = get_channels(extractor)
    allowed = {*known, *({2, 4} if {1, 3} <= set(known) else ())}
    if channels not in allowed:
        rule = f"metrics must be an extractor of {channels} channels for {what} (metrics=own, metrics=none)"
        raise UserError(f"{rule}, got {extractor.name}, which takes {' or '.join(map(str, sorted(allowed)))}")


INCEPTION = "inception"  # the name of the extractor with the published weights (2015-12-05), and of no other
