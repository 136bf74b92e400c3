"""The Frechet distance within every class, which a distance over all classes can hide."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.frechet import frechet_distance
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet, Statistics

CLASS_STATISTICS_BLOCK_ROWS = 4096  # images whose features are held in float64 at a time


@dataclass(frozen=True)
class FrechetPerClass:
    """`fid_class_mean` (or `fd_<extractor>_class_mean`), `..._class_worst` and one number for each class: lower is
    better, 0 for equal sets. The real images of a class are compared with the samples that were generated for it.

    With few images a class all numbers are biased upwards: compare them at equal counts only.
    """

    num_classes: int
    requirements: ClassVar[Requirement] = Requirement.FEATURES | Requirement.LABELS

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(
                f"data.num_classes must be at least 1 for a distance within each class, got {self.num_classes}"
            )

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return two of each in each class."""
        return MinimumSamples(2 * self.num_classes, 2 * self.num_classes, real_per_class=2)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the mean over the classes, the largest, then that of each."""
        kinds = ("mean", "worst", *range(self.num_classes))
        return tuple(make_metric_name(f"fd_class_{kind}", extractor) for kind in kinds)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        distances = [
            frechet_distance(
                compute_class_statistics(real, k, "real images"), compute_class_statistics(fake, k, "samples")
            )
            for k in range(self.num_classes)
        ]
        return sum(distances) / len(distances), max(distances), *distances


def compute_class_statistics(images: FeatureSet, k: int, what: str) -> Statistics:
    """Return statistics of the images of one class; raises ValueError where a class has fewer than two."""
    assert images.features is not None
    assert images.labels is not None
    members = (images.labels == k).nonzero().flatten()
    if len(members) < 2:
        raise UserError(f"metrics.num_samples must leave at least 2 {what} of each class, got {len(members)} of {k}")
    return compute_statistics(images.features, members)


def compute_statistics(features: Tensor, index: Tensor) -> Statistics:
    """Return the statistics of the features [N, F] in the rows `index`."""
    statistics = Statistics(features.shape[1])
    for block in torch.split(index, CLASS_STATISTICS_BLOCK_ROWS):
        statistics.update(features[block])
    return statistics
