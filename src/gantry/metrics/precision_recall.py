"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020): how many samples are like
real images, and how many real images are like samples.

All four count the features of one set that lie in balls around those of the other set; the radius of a ball is the
distance to the k-th nearest neighbour in its own set. A ball includes its surface, and it is a point if a feature
occurs more than k times.
"""

import logging
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.metrics.nearest_neighbours import (
    RowPairs,
    exact_squared_distances,
    find_k_nearest_others,
    iter_pairs_within,
)
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet

log = logging.getLogger(__name__)
MAX_COPIED_SHARE = 0.01  # of real images that occur more than k times, without a warning


@dataclass(frozen=True)
class PrecisionRecall:
    """`precision`, `recall`, `density` and `coverage`, or `..._<extractor>`: more is better, and only the density can
    be above 1. All four come from one computation of the distances.

    `k` is that of precision and recall, 3 in the paper (section 3.1), `density_k` that of the other two, 5 in
    theirs (section 5.2).
    """

    k: int = 3
    density_k: int = 5
    requirements: ClassVar[Requirement] = Requirement.FEATURES

    def __post_init__(self) -> None:
        for key, k in (("k of precision", self.k), ("density_k of density", self.density_k)):
            if k < 1:
                raise ValueError(f"{key} must be at least 1, got {k}")

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return one more than the largest number of neighbours."""
        return MinimumSamples(self.k + 1, max(self.k, self.density_k) + 1)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the four names."""
        kinds = "precision", "recall", "density", "coverage"
        return tuple(make_metric_name(kind, extractor) for kind in kinds)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        assert real.features is not None
        assert fake.features is not None
        self._check_neighbour_counts(len(real.features), len(fake.features))
        return compute_prdc(real.features, fake.features, self.k, self.density_k)

    def _check_neighbour_counts(self, real: int, fake: int) -> None:
        for key, k, n in (
            ("k of precision", self.k, min(real, fake)),
            ("density_k of density", self.density_k, real),
        ):
            if k >= n:
                raise UserError(f"{key} must be less than {n}, the number of images, got {k}")


def compute_prdc(real: Tensor, fake: Tensor, k: int, density_k: int) -> tuple[float, float, float, float]:
    """Return precision, recall, density, coverage of fake [N, F] against real [M, F]; both larger than the k they need.

    Precision: the share of the samples in at least one ball of the real images, with k. Recall: the share of
    real images in at least one ball of the samples (eq. 1 and 2 of Kynkaanniemi et al.). Density: the number
    of balls of real images that a sample is in, with density_k, over density_k (eq. 6 of Naeem et al.). Coverage:
    the share of real images whose ball has a sample in it (eq. 7).

    Beside the features it needs at most about 250 MB for any N and M; that is when all samples are in all balls.
    """
    neighbours = find_k_nearest_others(real, max(k, density_k))[0]
    real_reach, dense_reach = neighbours[:, k - 1], neighbours[:, density_k - 1]
    warn_of_copies(int((real_reach == 0).sum()), len(real), k)
    fake_reach = find_k_nearest_others(fake, k)[0][:, k - 1]
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool, device=real.device) for _ in range(2))
    balls = 0
    for pairs in iter_pairs_within(fake, real, fake_reach, neighbours[:, -1]):
        limits = torch.stack([real_reach[pairs.j], fake_reach[pairs.i], dense_reach[pairs.j]])
        in_real, in_fake, in_dense = compare_with_limits(pairs, limits, fake, real)
        precise[pairs.i[in_real]] = True
        recalled[pairs.j[in_fake]] = True
        covered[pairs.j[in_dense]] = True
        balls += int(in_dense.sum())
    return _fraction_true(precise), _fraction_true(recalled), balls / (density_k * len(fake)), _fraction_true(covered)


@cache
def warn_of_copies(count: int, total: int, k: int) -> None:
    """Log, once for the same set, that many real images have k copies or more: their balls are points."""
    if count > MAX_COPIED_SHARE * total and collectives.rank() == 0:
        log.warning(
            "%d of %d real images occur more than %d times: their balls are points, and precision, density and "
            "coverage are too low. Leave the copies out",
            count,
            total,
            k,
        )


def compare_with_limits(pairs: RowPairs, limits: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Compare the squared distances of pairs with limits [L, P]: -> bool [L, P], True for at most the limit. Exact
    distances, from the features x and y of the pairs, decide wherever rounding could."""
    doubt = ((pairs.squared_distances - limits).abs() <= pairs.error_bounds).any(0)
    squared = pairs.squared_distances.clone()
    if doubt.any():
        squared[doubt] = exact_squared_distances(x, y, pairs.i[doubt], pairs.j[doubt])
    return squared <= limits


def _fraction_true(which: Tensor) -> float:
    return int(which.sum()) / len(which)
