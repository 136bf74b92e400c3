"""Count, mean and covariance of features, streamed in float64: features are never all held."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.linalg import blas
from threadpoolctl import ThreadpoolController
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError

MULTITHREADED_BLAS_DIM = (
    1024  # features from which on BLAS takes all threads: their spinning costs milliseconds, the product more
)


class Statistics:
    """n, mean [F] and scatter [F, F], the sum of outer products of the deviations from the mean, in float64.

    Batches are merged as Chan, Golub and LeVeque (1979) merge samples: no difference of large sums is ever
    taken, so features far from zero cost no precision.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        device = select_float64_device(device)
        self.n = 0
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64, device=device)
        self._is_symmetric = True  # or only the lower triangle of it counts

    def update(self, features: Tensor) -> None:
        """Take in features [N, F]; N may be 0."""
        if len(features) == 0:
            return
        total = self.n + len(features)
        rows, mean = _center_features(features.to(self.mean.device))
        shift = mean - self.mean
        rows[-1] = shift * (self.n * len(features) / total) ** 0.5
        _add_outer_products_(self._scatter, rows)
        self._is_symmetric = False
        self.mean += shift * (len(features) / total)
        self.n = total

    @property
    def scatter(self) -> Tensor:
        """The whole symmetric matrix [F, F]."""
        if not self._is_symmetric:
            self._scatter.tril_().add_(self._scatter.tril(-1).T)
            self._is_symmetric = True
        return self._scatter

    @scatter.setter
    def scatter(self, matrix: Tensor) -> None:
        self._scatter = matrix.clone(memory_format=torch.contiguous_format)
        self._is_symmetric = True

    @property
    def lower_triangle(self) -> Tensor:
        """The scatter [F, F] where only the lower triangle and the diagonal count: what is above may be anything."""
        return self._scatter

    def all_reduce(self) -> "Statistics":
        """The statistics of all processes together; every process must call it, also one that saw nothing."""
        whole = Statistics(len(self.mean), self.mean.device)
        whole.n = int(collectives.all_reduce_sum_(torch.tensor(self.n, device=self.mean.device)))
        whole.mean = collectives.all_reduce_sum_(self.mean * (self.n / max(whole.n, 1)))
        shift = self.mean - whole.mean
        whole.scatter = collectives.all_reduce_sum_(self.scatter + self.n * torch.outer(shift, shift))
        return whole

    def subtract(self, part: "Statistics") -> "Statistics":
        """The statistics of the samples that are not in `part`, a small part of these."""
        rest = Statistics(len(self.mean), self.mean.device)
        rest.n = self.n - part.n
        rest.mean = self.mean + (self.mean - part.mean) * (part.n / rest.n)
        shift = part.mean - rest.mean
        rest.scatter = self.scatter - part.scatter - torch.outer(shift, shift) * (part.n * rest.n / self.n)
        return rest

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance [F, F] (divisor n - 1); raises ValueError for fewer than two samples."""
        if self.n < 2:
            raise UserError(f"metrics.num_samples must be at least 2 for a covariance, got {self.n}")
        return self.scatter / (self.n - 1)

    def to_tensors(self) -> dict[str, Tensor]:
        """What `from_tensors` makes equal statistics of."""
        return {"n": torch.tensor(self.n), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """The inverse of `tensors`."""
        statistics = cls(0)
        statistics.n = int(tensors["n"])
        statistics.mean, statistics.scatter = tensors["mean"], tensors["scatter"]
        return statistics

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        save_file(self.to_tensors(), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        return cls.from_tensors(load_file(path))


def _center_features(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, F] -> deviations from their mean, with room for one row more, [N + 1, F], and the mean, in float64.

    On a CPU by NumPy, whose one thread does not wait for those of BLAS.
    """
    if features.device.type == "cpu":
        x = features.numpy().astype(np.float64)
        rows, mean = np.empty((len(x) + 1, x.shape[1])), x.mean(0)
        np.subtract(x, mean, out=rows[:-1])
        return torch.from_numpy(rows), torch.from_numpy(mean)
    x64 = features.double()
    centre = x64.mean(0)
    return torch.cat([x64 - centre, centre[None]]), centre


def _add_outer_products_(lower: Tensor, rows: Tensor) -> None:
    """Add rows^T rows for rows [N, F] to a matrix [F, F] of which the lower triangle counts: half a product."""
    if lower.device.type == "cpu":  # BLAS counts columns first, so that this upper triangle is the lower one
        with _get_blas_controller().limit(
            limits=torch.get_num_threads() if len(lower) >= MULTITHREADED_BLAS_DIM else 1
        ):
            blas.dsyrk(1.0, rows.numpy().T, beta=1.0, c=lower.numpy().T, lower=0, overwrite_c=1)
    else:
        lower.addmm_(rows.T, rows)


@cache
def _get_blas_controller() -> ThreadpoolController:
    """SciPy's and NumPy's BLAS, whose threads go on spinning after a call, against those of torch's next one."""
    return ThreadpoolController().select(user_api="blas")


def select_float64_device(device: torch.device | str) -> torch.device:
    """The device itself, or the CPU in place of one without float64 (Apple's)."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


NUM_SCORE_SPLITS = 10  # parts that the Inception Score is averaged over; sample i belongs to part i mod SPLITS


class PredictionSums:
    """Sums over the samples of each split, in float64: n [S], p [S, K] and p_log_p [S] (of the sum over the
    classes of p log p); and winners int64 [K], the number of samples that each class is the likeliest of."""

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        device = select_float64_device(device)
        self.n = torch.zeros(NUM_SCORE_SPLITS, dtype=torch.float64, device=device)
        self.p = torch.zeros(NUM_SCORE_SPLITS, num_classes, dtype=torch.float64, device=device)
        self.p_log_p = torch.zeros(NUM_SCORE_SPLITS, dtype=torch.float64, device=device)
        self.argmax_counts = torch.zeros(num_classes, dtype=torch.int64, device=device)

    def update(self, start: int, probabilities: Tensor) -> None:
        """Take in the probabilities [N, K] of the samples start .. start + N - 1."""
        probabilities = probabilities.to(self.p.device)
        p = probabilities.double()
        split = torch.arange(start, start + len(p), device=p.device) % NUM_SCORE_SPLITS
        self.n.index_add_(0, split, torch.ones_like(p[:, 0]))
        self.p.index_add_(0, split, p)
        self.p_log_p.index_add_(0, split, p_log_p(probabilities).sum(1, dtype=p.dtype))
        self.argmax_counts += probabilities.argmax(1).bincount(minlength=p.shape[1])

    def all_reduce(self) -> "PredictionSums":
        """The sums of all processes; every process must call it, also one that saw nothing."""
        whole = PredictionSums(self.p.shape[1], self.p.device)
        whole.n, whole.p = collectives.all_reduce_sum_(self.n.clone()), collectives.all_reduce_sum_(self.p.clone())
        whole.p_log_p, whole.argmax_counts = (
            collectives.all_reduce_sum_(self.p_log_p.clone()),
            collectives.all_reduce_sum_(self.argmax_counts.clone()),
        )
        return whole


def p_log_p(p: Tensor) -> Tensor:
    """p log p, which is 0 at 0; what torch.special.entr gives, in a third of its time on a CPU."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log_().mul_(p)


@dataclass(frozen=True)
class FeatureSet:
    """Sums over a set: `predictions` if the extractor classifies, and if asked for the `features` themselves,
    float32 [N, F] on the CPU.

    `labels` int64 [N] are the classes that the images have or were drawn for, where they are known. `held_out`
    has the features [M, F] of real images that were kept apart from the training, beside those that were not, and
    `mirrored` [N, F] those of the training images seen in a mirror, if the training mirrors them.
    """

    statistics: Statistics
    predictions: PredictionSums | None = None
    features: Tensor | None = None
    labels: Tensor | None = None
    held_out_features: Tensor | None = None
    flipped_features: Tensor | None = None
