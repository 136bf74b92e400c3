"""The Frechet distance between Gaussians fitted to features (Heusel et al. 2017): FID with Inception-v3."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal, lapack

from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet, Statistics

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FrechetDistance:
    """`fid` or `fd_<extractor>`: 0 for equal sets, lower is better."""

    requirements: ClassVar[Requirement] = Requirement.STATISTICS

    def minimum_samples(self, dim: int) -> MinimumSamples:
        """Return two of each, enough for a covariance; more than there are features are advised."""
        reason = f"a covariance of {dim} features is singular with so few, and the distance too large"
        return MinimumSamples(2, 2, advised=dim + 1, reason=reason)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the name of the distance."""
        return (make_metric_name("fd", extractor),)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        return (frechet_distance(real.statistics, fake.statistics),)


def frechet_distance(real: Statistics, fake: Statistics) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) (Dowson and Landau 1982, eq. 4); S, S' may be singular."""
    return make_frechet_distance(real)(fake)


def make_frechet_distance(real: Statistics) -> Callable[[Statistics], float]:
    """fake -> `frechet_distance(real, fake)`: the real covariance is factored once, for any number of fakes."""
    mean, L = real.mean.cpu(), factor_covariance(real)

    def distance(fake: Statistics) -> float:
        M = factor_covariance(fake)
        gram = _transform_scatter(fake, L) if L.is_triangular and M.is_triangular else _compute_gram_matrix(L, M)
        root = _sum_sqrt_eigenvalues(gram) * L.scale * M.scale
        means = float((mean - fake.mean.cpu()).square().sum())
        return means + L.trace + M.trace - 2 * root

    return distance


class CovarianceFactor(NamedTuple):
    """A covariance of this trace is L L^T, L [F, r] being `matrix` times `scale`; r is its rank. `triangular`: r = F,
    and L is lower triangular."""

    matrix: Matrix
    scale: float
    trace: float
    is_triangular: bool


def factor_covariance(statistics: Statistics) -> CovarianceFactor:
    """Return the Cholesky factor of the covariance; its rank is at most n - 1.

    If the samples do not span all directions, pivoting stops at the size of rounding errors. A square root of the full
    matrix would take the root of these errors, 1e-16 -> 1e-8, in every direction that is not spanned.
    """
    statistics.check_covariance()
    scatter = statistics.lower_triangle.cpu().numpy()
    F, scale = len(scatter), 1 / math.sqrt(statistics.n - 1)
    trace, largest = float(scatter.trace()) * scale**2, scatter.diagonal().max()
    if statistics.n > F:  # BLAS counts columns first: to it, the lower triangle of rows is the upper one of columns
        upper, failed = lapack.dpotrf(scatter.copy().T, lower=0, overwrite_a=1)
        if not failed and upper.diagonal().min() ** 2 > F * np.finfo(np.float64).eps * largest:
            return CovarianceFactor(upper.T, scale, trace, is_triangular=True)
    upper, pivots, rank, _ = lapack.dpstrf(scatter.T, lower=0)
    rank = min(int(rank), statistics.n - 1)
    L = np.zeros((F, rank))
    L[pivots - 1] = np.tril(upper.T)[:, :rank]
    return CovarianceFactor(L, scale, trace, is_triangular=False)


def _transform_scatter(statistics: Statistics, L: CovarianceFactor) -> Matrix:
    """L^T S' L [F, F] of the scatter S', whose eigenvalues are those of S S': only the lower triangle counts."""
    upper, _ = lapack.dsygst(
        statistics.lower_triangle.cpu().numpy().copy().T, L.matrix.T, itype=2, lower=0, overwrite_a=1
    )
    return upper.T


def _compute_gram_matrix(L: CovarianceFactor, M: CovarianceFactor) -> Matrix:
    """Return the smaller Gram matrix of L^T M, whose squared singular values are the nonzero eigenvalues of S S'."""
    A = L.matrix.T @ M.matrix if L.matrix.shape[1] <= M.matrix.shape[1] else M.matrix.T @ L.matrix
    return A @ A.T


def _sum_sqrt_eigenvalues(gram: Matrix) -> float:
    """Return the sum of the square roots of the eigenvalues of a semidefinite matrix, given by its lower triangle."""
    if len(gram) == 0:  # all features are equal
        return 0.0
    workspace, _ = lapack.dsytrd_lwork(len(gram), lower=0)
    _, diagonal, beside, _, _ = lapack.dsytrd(gram.T, lower=0, lwork=int(workspace), overwrite_a=1)
    squares = eigvalsh_tridiagonal(diagonal, beside, check_finite=False, lapack_driver="sterf")
    return float(np.sqrt(squares.clip(min=0)).sum())
