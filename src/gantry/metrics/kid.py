"""The kernel distance (Binkowski et al. 2018), KID with Inception-v3: unbiased for any number of samples."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gantry.errors import UserError
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet

KERNEL_BLOCK_ROWS = 500  # rows of a kernel matrix, or of features in float64, in memory at a time
FeatureRows = NDArray[np.float32]
IndexArray = NDArray[np.int64]


@dataclass(frozen=True)
class KernelDistance:
    """`kid` or `kd_<extractor>`, the mean over random subsets, and `..._std`: lower is better. For equal
    distributions it is 0 on average, so it can be negative. The subsets are those that torch-fidelity draws.
    """

    subsets: int = 100
    subset_size: int = 1000
    seed: int = 2020
    requirements: ClassVar[Requirement] = Requirement.FEATURES

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2:
            got = f"{self.subsets} and {self.subset_size}"
            raise ValueError(f"subsets and subset_size of kid must be at least 1 and 2, got {got}")

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return one subset of each."""
        return MinimumSamples(self.subset_size, self.subset_size)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the mean over the subsets and the standard deviation."""
        return make_metric_name("kd", extractor), make_metric_name("kd_std", extractor)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        assert real.features is not None
        assert fake.features is not None
        x, y = real.features.numpy(), fake.features.numpy()
        draws = self.draw_subsets(len(x), len(y))
        origin = x.mean(0)
        left_x, left_y = compute_centering_terms(origin, x), compute_centering_terms(origin, y)
        distances = [
            _unbiased_squared_mmd(
                CenteredFeatures(x[i] - origin, *left_x[:, i]), CenteredFeatures(y[j] - origin, *left_y[:, j])
            )
            for i, j in draws
        ]
        return float(np.mean(distances)), float(np.std(distances))

    def draw_subsets(self, real: int, fake: int) -> list[tuple[IndexArray, IndexArray]]:
        """Return pairs of random subsets, drawn without replacement; raises ValueError if a set is too small."""
        fewest = min(real, fake)
        if self.subset_size > fewest:
            raise UserError(
                f"subset_size of the kernel distance must be at most {fewest}, the number of images, "
                f"got {self.subset_size}"
            )
        random = np.random.RandomState(self.seed)
        sizes = [n for _ in range(self.subsets) for n in (fake, real)]
        chosen = [random.choice(n, self.subset_size, replace=False).copy() for n in sizes]  # of all n numbers
        return list(zip(chosen[1::2], chosen[::2]))


@dataclass(frozen=True)
class CenteredFeatures:
    """Features x [N, F] as x - o, and the terms that restore their products.

    <x, y> = <x - o, y - o> + a(x) + a(y) with a(x) = <x - o, o> + <o, o> / 2. The float32 product of x - o and y - o is
    small, and so is its rounding error, which could otherwise exceed the distance between close sets.
    """

    rows: FeatureRows  # [N, F]
    cross_terms: NDArray[np.float64]  # a(x) [N]
    squared_norms: NDArray[np.float64]  # <x, x> [N]


def compute_centering_terms(origin: FeatureRows, x: FeatureRows) -> NDArray[np.float64]:
    """Return a(x) and <x, x> of features x [N, F] for an origin [F], see `CenteredFeatures`: -> [2, N]."""
    o = origin.astype(np.float64)
    left = np.empty((2, len(x)))
    for start in range(0, len(x), KERNEL_BLOCK_ROWS):
        block = slice(start, start + KERNEL_BLOCK_ROWS)
        exact = (x[block] - origin).astype(np.float64)
        left[0, block] = exact @ o + o @ o / 2
        left[1, block] = np.einsum("nf,nf->n", exact, exact) + 2 * left[0, block]
    return left


def kernel_distance(real: FeatureRows, fake: FeatureRows) -> float:
    """Unbiased estimate of the squared MMD between features [m, F] and [n, F], kernel (<x, y> / F + 1)^3
    (Binkowski et al. 2018, eq. 4 and section 4)."""
    origin = real.mean(0)
    x, y = (CenteredFeatures(rows - origin, *compute_centering_terms(origin, rows)) for rows in (real, fake))
    return _unbiased_squared_mmd(x, y)


def _unbiased_squared_mmd(x: CenteredFeatures, y: CenteredFeatures) -> float:
    m, n = len(x.rows), len(y.rows)
    within = _sum_kernel_within(x) / (m * (m - 1)) + _sum_kernel_within(y) / (n * (n - 1))
    return within - 2 * _sum_kernel_between(x, y) / (m * n)


def _sum_kernel_within(x: CenteredFeatures) -> float:
    """Return the sum of k(x_i, x_j) over i != j; a pair of blocks is computed once and counted twice."""
    total = 0.0
    for start in range(0, len(x.rows), KERNEL_BLOCK_ROWS):
        here, after = slice(start, start + KERNEL_BLOCK_ROWS), slice(start + KERNEL_BLOCK_ROWS, None)
        total += _sum_kernel_block(x, here, x, here) + 2 * _sum_kernel_block(x, here, x, after)
    return total - float(((x.squared_norms / x.rows.shape[1] + 1) ** 3).sum())


def _sum_kernel_between(x: CenteredFeatures, y: CenteredFeatures) -> float:
    """Return the sum of k(x_i, y_j) over all pairs, block by block."""
    blocks = (slice(start, start + KERNEL_BLOCK_ROWS) for start in range(0, len(x.rows), KERNEL_BLOCK_ROWS))
    return sum(_sum_kernel_block(x, block, y, slice(None)) for block in blocks)


def _sum_kernel_block(x: CenteredFeatures, some: slice, y: CenteredFeatures, others: slice) -> float:
    """Return the sum of k(x_i, y_j) over some i and some j."""
    F = x.rows.shape[1]
    g = (x.rows[some] @ y.rows[others].T).astype(np.float64)
    g += x.cross_terms[some, None] + F
    g += y.cross_terms[others]
    return float(np.vdot(g * g, g)) / F**3
