"""The Frechet distance between Gaussians fitted to features (Heusel et al. 2017): FID with Inception-v3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack

from gantry.metrics.collected import Collected
from gantry.metrics.score import Needs, metric_name
from gantry.metrics.statistics import Statistics

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Frechet:
    """`fid` or `fd_<extractor>`: 0 for equal sets, lower is better."""

    needs: ClassVar[Needs] = Needs.SUMS

    @property
    def fewest(self) -> int:
        """Two, for a covariance."""
        return 2

    def names(self, extractor: str) -> tuple[str, ...]:
        """One name."""
        return (metric_name("fd", extractor),)

    def __call__(self, real: Collected, fake: Collected) -> tuple[float, ...]:
        return (frechet_distance(real.statistics, fake.statistics),)


def frechet_distance(real: Statistics, fake: Statistics) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) (Dowson and Landau 1982, eq. 4); S, S' may be singular."""
    return distance_from(real)(fake)


def distance_from(real: Statistics) -> Callable[[Statistics], float]:
    """fake -> `frechet_distance(real, fake)`: the real covariance is factored once, for any number of fakes."""
    mean, trace, L = real.mean.cpu(), float(real.covariance.trace()), factor(real)

    def distance(fake: Statistics) -> float:
        means = float((mean - fake.mean.cpu()).square().sum())
        return means + trace + float(fake.covariance.trace()) - 2 * _trace_of_root(L, factor(fake))

    return distance


def factor(statistics: Statistics) -> Matrix:
    """L [F, r] with L L^T = the covariance; r is its rank, at most n - 1.

    Cholesky with pivoting stops where what is left is rounding. A square root of the full matrix would take
    the root of that rounding, 1e-16 -> 1e-8, in every direction that the samples do not span.
    """
    lower, pivots, rank, _ = lapack.dpstrf(statistics.covariance.cpu().numpy(), lower=1)
    rank = min(int(rank), statistics.n - 1)
    L = np.zeros((len(lower), rank))
    L[pivots - 1] = np.tril(lower)[:, :rank]
    return L


def _trace_of_root(L: Matrix, M: Matrix) -> float:
    """tr((L L^T M M^T)^(1/2)): the sum of the singular values of L^T M, from its smaller Gram matrix."""
    A = L.T @ M if L.shape[1] <= M.shape[1] else M.T @ L
    squares = torch.linalg.eigvalsh(torch.from_numpy(A @ A.T))
    return float(squares.clamp(min=0).sqrt().sum())
