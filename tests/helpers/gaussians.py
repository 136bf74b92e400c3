"""Features and statistics with known distributions, for the tests of the metrics."""

import torch
from torch import Tensor

from gantry.metrics.statistics import FeatureSet, Statistics


def accumulate_features(features: Tensor) -> Statistics:
    """The statistics of features [N, F], taken in at once."""
    statistics = Statistics(features.shape[1])
    statistics.update(features)
    return statistics


def make_features(features: Tensor) -> FeatureSet:
    """The feature set of features [N, F], which are float32 as those of an extractor."""
    return FeatureSet(accumulate_features(features), features=features.float())


def make_gaussian_statistics(mean: Tensor, covariance: Tensor, n: int = 10**6) -> Statistics:
    """Statistics with exactly this mean and covariance."""
    scatter = covariance.double() * (n - 1)
    return Statistics.from_tensors({"n": torch.tensor(n), "mean": mean.double(), "scatter": scatter})


def random_covariance(dim: int, rank: int, seed: int) -> Tensor:
    """A random covariance matrix [dim, dim] of a rank."""
    root = seeded_randn(dim, rank, seed=seed)
    return root @ root.T


def random_rotation(dim: int, seed: int) -> Tensor:
    """A random orthogonal matrix."""
    return torch.linalg.qr(seeded_randn(dim, dim, seed=seed))[0]


def seeded_randn(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
