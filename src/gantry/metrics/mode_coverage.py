"""Mode coverage for data with known modes: mixtures in the plane, and the stacked sets with 1,000 classes."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.score import MinimumSamples, Requirement
from gantry.metrics.statistics import FeatureSet

HIGH_QUALITY_SIGMAS = 3.0  # a sample is of high quality within so many standard deviations of a mode


@runtime_checkable
class Mixture(Protocol):
    """Gaussians of equal weight and variance: the facts that the score uses of a data set in the plane."""

    centres: Tensor  # [K, 2]
    sigma: float
    scale: float  # centres and sigma are divided by it in the data


@dataclass(frozen=True)
class MixtureModeCoverage:
    """Coverage of a mixture of Gaussians in the plane, K `centres` (x, y) with standard deviation `sigma`.

    `overlap`: that of the samples' distribution over the modes with the uniform one, where low-quality samples belong
    to no mode: 1 is perfect, samples of the mixture itself reach 0.99. `modes`: those with at least one high-quality
    sample. `high_quality`: share of the samples within three standard deviations of a mode (both as in VEEGAN,
    Srivastava et al. 2017, section 5.1). `kl`: divergence of the samples' nearest modes from the uniform distribution,
    in nats (PacGAN, Lin et al. 2018, section 4).
    """

    centres: tuple[tuple[float, float], ...]
    sigma: float
    requirements: ClassVar[Requirement] = Requirement.FEATURES

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return one of each."""
        return MinimumSamples(1)

    def metric_names(self, extractor: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return four names. Select by `overlap`: it alone shows both missing modes and samples off the modes."""
        return "overlap", "modes", "high_quality", "kl"

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:  # noqa: ARG002
        assert fake.features is not None
        nearest, good = count_samples_per_mode(fake.features, torch.tensor(self.centres), self.sigma)
        count = len(fake.features)
        return (
            overlap_with_uniform(good, count),
            float(count_covered_modes(good)),
            float(good.sum()) / count,
            kl_from_uniform(nearest),
        )


def make_mixture_mode_coverage(mixture: Mixture) -> MixtureModeCoverage:
    """Return the score for the data set that the mixture describes."""
    if not hasattr(mixture, "centres"):
        raise ValueError("metrics must be modes only where the modes are known (data=ring, data=grid), got modes")
    centres = ((x, y) for x, y in (mixture.centres.double() / mixture.scale).tolist())
    return MixtureModeCoverage(tuple(centres), mixture.sigma / mixture.scale)


@dataclass(frozen=True)
class ClassModeCoverage:
    """Coverage of the classes of the extractor's classifier: the 1,000 modes of the stacked sets.

    `modes`: classes that at least one sample is assigned to. `kl`: divergence of the assigned classes from the uniform
    distribution, in nats (Metz et al. 2017, section 3.3.1; Srivastava et al. 2017, section 5.2).
    """

    requirements: ClassVar[Requirement] = Requirement.CLASSIFIER

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return one of each."""
        return MinimumSamples(1)

    def metric_names(self, extractor: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return two names; select by the first."""
        return "kl", "modes"

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:  # noqa: ARG002
        if fake.predictions is None:
            raise UserError("metrics.extractor must classify to count modes, got one that does not")
        winners = fake.predictions.argmax_counts
        return kl_from_uniform(winners), float(count_covered_modes(winners))


def count_samples_per_mode(x: Tensor, centres: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Count samples x [N, 2] by nearest centre [K, 2]: all, and those of high quality: int64 [K] each."""
    distance, mode = torch.cdist(x.double(), centres.double()).min(1)
    K = len(centres)
    return mode.bincount(minlength=K), mode[distance <= HIGH_QUALITY_SIGMAS * sigma].bincount(minlength=K)


def count_covered_modes(counts: Tensor) -> int:
    """Return the number of modes with at least one sample."""
    return int((counts > 0).sum())


def overlap_with_uniform(counts: Tensor, total: int) -> float:
    """Return the sum over the modes of min(counts / total, 1 / K): 1 - the total variation from uniform."""
    return float((counts.double() / total).clamp(max=1 / len(counts)).sum())


def kl_from_uniform(counts: Tensor) -> float:
    """Return KL(q || uniform) = log K + sum of q log q for q = counts [K] / their sum: from 0 to log K."""
    q = counts.double() / counts.sum()
    return float(torch.xlogy(q, q).sum()) + math.log(len(q))
