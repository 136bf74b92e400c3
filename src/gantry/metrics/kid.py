"""The kernel distance (Binkowski et al. 2018), KID with Inception-v3: unbiased for any number of samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gantry.metrics.collected import Collected
from gantry.metrics.score import metric_name

BLOCK = 1024  # rows of a kernel matrix that are held at a time
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class KernelDistance:
    """`kid` or `kd_<extractor>`, the mean over random subsets, and `..._std`: lower is better. For equal
    distributions it is 0 on average, so it can be negative. The subsets are those that torch-fidelity draws.
    """

    subsets: int = 100
    subset_size: int = 1000
    seed: int = 2020
    keeps_features: ClassVar[bool] = True

    def names(self, extractor: str) -> tuple[str, ...]:
        """The mean over the subsets and the standard deviation."""
        return metric_name("kd", extractor), metric_name("kd_std", extractor)

    def __call__(self, real: Collected, fake: Collected) -> tuple[float, ...]:
        assert real.features is not None
        assert fake.features is not None
        pairs = self.draws(real.features, fake.features)
        distances = [kernel_distance(real_rows, fake_rows) for real_rows, fake_rows in pairs]
        return float(np.mean(distances)), float(np.std(distances))

    def draws(self, real: Tensor, fake: Tensor) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of subsets without repetition inside; raises ValueError when a set is too small."""
        fewest = min(len(fake), len(real))
        if self.subset_size > fewest:
            raise ValueError(
                f"subset_size of the kernel distance must be at most {fewest}, the number of images, "
                f"got {self.subset_size}"
            )
        random = np.random.RandomState(self.seed)
        for _ in range(self.subsets):
            ours = random.choice(len(fake), self.subset_size, replace=False)
            theirs = random.choice(len(real), self.subset_size, replace=False)
            yield real[theirs].numpy(), fake[ours].numpy()


def kernel_distance(real: Rows, fake: Rows) -> float:
    """Unbiased estimate of the squared MMD between features [m, F] and [n, F], kernel (<x, y> / F + 1)^3
    (Binkowski et al. 2018, eq. 4 and section 4)."""
    origin = real.mean(0, dtype=np.float64)
    m, n = len(real), len(fake)
    within = _pairs_within(real, origin) / (m * (m - 1)) + _pairs_within(fake, origin) / (n * (n - 1))
    return within - 2 * _pairs(real, fake, origin) / (m * n)


def _pairs_within(x: Rows, origin: NDArray[np.float64]) -> float:
    """The sum of k(x_i, x_j) over i != j."""
    squares = np.square(x, dtype=np.float64).sum(1)
    return _pairs(x, x, origin) - float(((squares / x.shape[1] + 1) ** 3).sum())


def _pairs(x: Rows, y: Rows, origin: NDArray[np.float64]) -> float:
    """The sum of k(x_i, y_j) over all pairs.

    <x, y> = <x - o, y - o> + a + b, where a = <x, o> - <o, o> / 2 and b likewise: what is left for the
    float32 product is small, and so is its rounding, which the distance between close sets would drown in.
    """
    a, b = (rows @ origin - origin @ origin / 2 for rows in (x, y))
    x_centred = (x - origin).astype(np.float32)
    y_centred = x_centred if y is x else (y - origin).astype(np.float32)
    total = 0.0
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        g = (x_centred[block] @ y_centred.T).astype(np.float64)
        g += a[block, None]
        g += b
        g /= x.shape[1]
        g += 1
        total += float(np.einsum("ij,ij,ij->", g, g, g))
    return total
