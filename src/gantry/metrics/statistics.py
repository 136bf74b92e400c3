"""Count, mean and covariance of features, streamed in float64; and the features and sums of a set of images."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.linalg import blas
from threadpoolctl import ThreadpoolController
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.float64_metric import Float64Metric
from gantry.metrics.prediction_sums import PredictionSums

MULTITHREADED_BLAS_DIM = 1024  # from here on BLAS uses all threads: their spinning costs milliseconds, the product more


class Statistics(Float64Metric):
    """n, mean [F] and scatter [F, F], the sum of outer products of the deviations from the mean, in float64.

    Batches and ranks are merged as Chan, Golub and LeVeque (1979) merge samples: no difference of large sums is ever
    taken, so features far from zero cost no precision. That is why all three are one state, `moments`, with a merge
    of its own: the scatters of ranks with different means cannot be summed.
    """

    moments: Tensor

    def __init__(self, dim: int, device: torch.device | str = "cpu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("moments", make_empty_moments(dim), dist_reduce_fx=merge_moments)
        self.to(device)

    def update(self, features: Tensor) -> None:
        """Add features [N, F]; N may be 0."""
        update_moments_(self.moments, features)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean and the covariance over all ranks."""
        return {"mean": self.mean, "covariance": self.covariance}

    @property
    def n(self) -> int:
        """Return the number of samples."""
        return int(split_moments(self.moments)[0])

    @property
    def mean(self) -> Tensor:
        """Return the mean [F]."""
        return split_moments(self.moments)[1]

    @property
    def lower_triangle(self) -> Tensor:
        """Return the scatter [F, F]; only the diagonal and the entries below it are valid."""
        return split_moments(self.moments)[2]

    @property
    def scatter(self) -> Tensor:
        """Return the symmetric scatter [F, F]."""
        lower = self.lower_triangle
        return lower.tril() + lower.tril(-1).T

    @property
    def covariance(self) -> Tensor:
        """Return the unbiased covariance [F, F] (divisor n - 1); raises ValueError for fewer than two samples."""
        self.check_covariance()
        return self.scatter / (self.n - 1)

    def check_covariance(self) -> None:
        """Raise ValueError unless there are enough samples for a covariance."""
        if self.n < 2:
            raise UserError(f"metrics.num_samples must be at least 2 for a covariance, got {self.n}")

    def subtract(self, part: "Statistics") -> "Statistics":
        """Return the statistics of the samples without those of `part`, a small part of them."""
        n = self.n - part.n
        mean = self.mean + (self.mean - part.mean) * (part.n / n)
        shift = part.mean - mean
        lower = self.lower_triangle - part.lower_triangle - torch.outer(shift, shift) * (part.n * n / self.n)
        return Statistics.from_tensors({"n": torch.tensor(n), "mean": mean, "scatter": lower})

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the tensors from which `from_tensors` makes equal statistics."""
        return {"n": torch.tensor(self.n), "mean": self.mean.clone(), "scatter": self.scatter}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return statistics of copies of these tensors, on their device."""
        statistics = cls(len(tensors["mean"]), tensors["mean"].device)
        n, mean, lower = split_moments(statistics.moments)
        n.copy_(tensors["n"])
        mean.copy_(tensors["mean"])
        lower.copy_(tensors["scatter"])
        return statistics

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        save_file(self.to_tensors(), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote."""
        return cls.from_tensors(load_file(path))


def make_empty_moments(dim: int) -> Tensor:
    """Return the moments of no samples: float64 [F^2 + F + 1], see `split_moments`."""
    return torch.zeros(dim * dim + dim + 1, dtype=torch.float64)


def split_moments(moments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return views of moments [F^2 + F + 1]: n [], the mean [F], the scatter [F, F], valid in its lower triangle."""
    F = math.isqrt(len(moments) - 1)
    return moments[-1], moments[F * F : -1], moments[: F * F].view(F, F)


def update_moments_(moments: Tensor, features: Tensor) -> None:
    """Add features [N, F] to moments, in place; N may be 0."""
    if len(features) == 0:
        return
    n, mean, lower = split_moments(moments)
    total = n + len(features)
    rows, batch_mean = _center_features(features.to(moments.device))
    shift = batch_mean - mean
    rows[-1] = shift * (n * len(features) / total).sqrt()
    _add_outer_products_(lower, rows)
    mean += shift * (len(features) / total)
    n += len(features)


def merge_moments(parts: Tensor) -> Tensor:
    """Return the moments of the union of samples with moments [P, F^2 + F + 1]: -> [F^2 + F + 1]."""
    moments = torch.zeros_like(parts[0])
    total, mean, lower = split_moments(moments)
    total += parts[:, -1].sum()
    for part in parts:
        mean += split_moments(part)[1] * (part[-1] / total.clamp_min(1))
    for part in parts:
        n, part_mean, part_lower = split_moments(part)
        shift = part_mean - mean
        lower += part_lower + n * torch.outer(shift, shift)
    return moments


def _center_features(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, F] -> deviations from their mean, with room for one row more, [N + 1, F], and the mean, in float64.

    On a CPU NumPy does it: its one thread does not wait for those of BLAS.
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
    """Add rows^T rows for rows [N, F] to the lower triangle of a matrix [F, F]: half a product."""
    if lower.device.type == "cpu":  # BLAS counts columns first, so that this upper triangle is the lower one
        threads = torch.get_num_threads() if len(lower) >= MULTITHREADED_BLAS_DIM else 1
        with _get_blas_controller().limit(limits=threads):
            blas.dsyrk(1.0, rows.numpy().T, beta=1.0, c=lower.numpy().T, lower=0, overwrite_c=1)
    else:
        lower.addmm_(rows.T, rows)


@cache
def _get_blas_controller() -> ThreadpoolController:
    """Return the controller of SciPy's and NumPy's BLAS, whose threads spin after a call and slow down torch's."""
    return ThreadpoolController().select(user_api="blas")


@dataclass(frozen=True)
class FeatureSet:
    """The data that scores use of a set of images: `statistics` of its features, `predictions` if the extractor
    classifies, and on request the `features` themselves, float32 [N, F] on the CPU.

    `labels` int64 [N] are the classes of the images, or those that samples were generated for, if they are known.
    `held_out_features` [M, F] are those of real images that are not used for training, and `flipped_features` [N, F]
    those of the mirrored training images, if the training flips images.
    """

    statistics: Statistics
    predictions: PredictionSums | None = None
    features: Tensor | None = None
    labels: Tensor | None = None
    held_out_features: Tensor | None = None
    flipped_features: Tensor | None = None
