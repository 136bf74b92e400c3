"""The contract of scores, and their names: "FID", "IS" and "KID" are for the features of Inception-v3 alone."""

from enum import Flag, auto
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from gantry.features.extractor import INCEPTION
from gantry.metrics.statistics import FeatureSet

INCEPTION_METRIC_NAMES = {"fd": "fid", "cs": "is", "kd": "kid"}


class Requirement(Flag):
    """The data that a score uses beside sums: a classifier's probabilities, the features of every image, the classes of
    the images, held-out real images."""

    STATISTICS = 0
    CLASSIFIER = auto()
    FEATURES = auto()
    LABELS = auto()
    HELD_OUT = auto()


class MinimumSamples(NamedTuple):
    """The smallest number of images that a score needs; `real_per_class` is that of real images of each class.

    With fewer than `advised` samples a number can be computed but says little, for this `reason`.
    """

    samples: int
    real: int = 1
    held_out: int = 0
    real_per_class: int = 0
    advised: int = 0
    reason: str = ""


@runtime_checkable
class Score(Protocol):
    """(real, fake) -> a number for each of the names; a frozen dataclass whose fields enter the protocol."""

    requirements: ClassVar[Requirement]

    def minimum_samples(self, dim: int) -> MinimumSamples:
        """Return the smallest sets that it can be computed from, with features [N, dim]."""
        ...

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the names of the numbers with this extractor."""
        ...

    def __call__(self, real: FeatureSet, fake: FeatureSet, /) -> tuple[float, ...]: ...


def make_metric_name(kind: str, extractor: str) -> str:
    """`fd` -> `fid` for Inception-v3, `fd_digits` for "digits"; `cs_std` -> `is_std` and `cs_digits_std`."""
    stem, *suffix = kind.split("_", 1)
    own = [INCEPTION_METRIC_NAMES.get(stem, stem)] if extractor == INCEPTION else [stem, extractor]
    return "_".join([*own, *suffix])
