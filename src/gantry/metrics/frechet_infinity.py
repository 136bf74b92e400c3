"""The Frechet distance at infinitely many samples (Chong and Forsyth 2020, FID-infinity), with an interval.

The distance of N samples is too large by about c / N, and c differs between generators (their section 3). Here it is
extrapolated to 1 / N = 0, from all samples and from all but one of `blocks` disjoint blocks, each in turn.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.frechet import make_frechet_distance
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet, Statistics

CONFIDENCE_LEVEL = 0.95
MIN_SAMPLES_PER_FEATURE = 8  # samples for each feature, see `FrechetInfinity`
ALLOWED_BLOCKS = range(4, 21)  # a distance between 2,048 features takes seconds


@dataclass(frozen=True)
class FrechetInfinity:
    """`fid_infinity` or `fd_<extractor>_infinity`, `..._low` and `..._high`, the ends of a 95 % interval.

    The real set stays as it is: only the number of samples goes to infinity, and the interval is over samples of the
    same generator. For equal distributions the value is about 0, so it can be negative.

    It costs `blocks` + 3 distances and needs 8 samples for each feature: with fewer the bias is not linear in 1 / N. On
    Gaussians of 8 to 256 features with equal or decreasing variances, at most 3 % of the bias was left at that number,
    and the interval contained the true value in 92 to 100 % of trials.
    """

    blocks: int = 16
    seed: int = 0  # of the permutation that assigns samples to blocks: they may be in the order of their classes
    requirements: ClassVar[Requirement] = Requirement.FEATURES

    def __post_init__(self) -> None:
        if self.blocks not in ALLOWED_BLOCKS:
            rule = f"{ALLOWED_BLOCKS[0]} to {ALLOWED_BLOCKS[-1]}"
            raise ValueError(f"blocks of the Frechet distance at infinity must be {rule}, got {self.blocks}")

    def minimum_samples(self, dim: int) -> MinimumSamples:
        """Return enough samples for a bias that is linear in 1 / N."""
        return MinimumSamples(max(MIN_SAMPLES_PER_FEATURE * dim, self.blocks), 2)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the value at infinity and the ends of its interval."""
        return tuple(make_metric_name(f"fd_infinity{end}", extractor) for end in ("", "_low", "_high"))

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        assert fake.features is not None
        N, F = fake.features.shape
        if self.minimum_samples(F).samples > N:
            rule = f"at least {self.minimum_samples(F).samples} to extrapolate the distance between {F} features"
            raise UserError(f"metrics.num_samples must be {rule}, got {N}")
        distance = make_frechet_distance(real.statistics)
        D = distance(fake.statistics)
        order = torch.randperm(N, generator=torch.Generator().manual_seed(self.seed))
        values = []
        for rows in order.tensor_split(self.blocks):
            rest = leave_out_rows(fake, rows)
            values.append(extrapolate_to_infinity(N, D, rest.n, distance(rest)))
        value = float(np.mean(values))
        # The mean of these values is the jackknife estimate, their spread gives its standard error. Distances of
        # subsets that overlap, as in a regression on many N, have correlated errors: the 95 % interval of
        # the regression contained the true value in 56 to 80 % of trials, the jackknife interval in 92 to 100 %.
        error = np.std(values, ddof=1) / math.sqrt(self.blocks)
        # With many features this error is so small that curvature matters: a parabola that also passes through the
        # distance of half the samples would differ from the line at 1 / N = 0 about as much as at 2 / N.
        halves = [distance(leave_out_rows(fake, rows)) for rows in order.tensor_split(2)]
        bend = float(np.mean(halves)) - (2 * D - value)
        half = float(student.ppf((1 + CONFIDENCE_LEVEL) / 2, self.blocks - 1) * math.hypot(error, bend))
        return value, value - half, value + half


def leave_out_rows(fake: FeatureSet, rows: Tensor) -> Statistics:
    """Return the statistics of the samples that are not in these rows."""
    assert fake.features is not None
    part = Statistics(fake.features.shape[1], fake.statistics.mean.device)
    part.update(fake.features[rows])
    return fake.statistics.subtract(part)


def extrapolate_to_infinity(N: int, D: float, M: int, E: float) -> float:
    """Return where the line in 1 / N through the distance D of N samples and E of M samples meets 1 / N = 0."""
    return (N * D - M * E) / (N - M)
