"""One pass over a set of images, shared by all processes: what it leaves is all that the scores look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.features.arithmetic import use_arithmetic
from gantry.features.extractor import Extractor
from gantry.metrics.statistics import FeatureSet, PredictionSums, Statistics
from gantry.pixels import to_uint8

ImageSource = Callable[[int, int], Tensor]  # (start, stop) -> those images, see `Reader.collect`

STATISTICS_UPDATE_ROWS = 1000  # features whose products are added up at a time: fewer use a processor badly

MAX_ABS_SAMPLE_VALUE = 16.0  # a generator without tanh leaves [-1, 1] a little; numbers beyond this have another range


@dataclass(frozen=True)
class FeaturePass:
    """How a set is read: in batches that the processes take in turn, so that their number changes nothing."""

    extractor: Extractor
    batch_size: int
    keep_features: bool
    device: torch.device
    arithmetic: str = "float32"

    def extract(self, images: ImageSource, count: int) -> FeatureSet:
        """Read images 0 .. count - 1; every process must call it, and all get the same.

        images(start, stop) gives float [n, *shape] in [-1, 1], uint8 [n, C, H, W] or points float [n, 2].
        Raises UserError, on all processes, when samples are not finite or far out of range.
        """
        num_classes = self.extractor.num_classes
        statistics = Statistics(self.extractor.dim, self.device)
        predictions = PredictionSums(num_classes, self.device) if num_classes else None
        kept = [torch.empty(0, self.extractor.dim)]
        recent: list[Tensor] = []
        bad = torch.zeros((), dtype=torch.int64, device=self.device)
        for start, stop in self.iter_batch_ranges(count, collectives.rank(), collectives.world_size()):
            x, fine = validate_samples(images(start, stop).to(self.device))
            with use_arithmetic(self.arithmetic):
                features, probabilities = self.extractor(x)
            bad += (~fine | ~features.isfinite().all(1)).sum()
            recent.append(features)
            if sum(map(len, recent)) >= STATISTICS_UPDATE_ROWS:
                statistics.update(torch.cat(recent))
                recent.clear()
            if predictions is not None and probabilities is not None:
                predictions.update(start, probabilities)
            if self.keep_features:
                kept.append(features.cpu())
        statistics.update(torch.cat([*recent, kept[0].to(self.device)]))
        if collectives.all_reduce_sum_(bad) > 0:
            raise UserError(f"samples must be finite and in [-1, 1], got {int(bad)} of {count} that are not")
        return FeatureSet(
            statistics.all_reduce(),
            predictions.all_reduce() if predictions is not None else None,
            self.gather_in_order(torch.cat(kept), count) if self.keep_features else None,
        )

    def iter_batch_ranges(self, count: int, rank: int, size: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of the batches of one process among `size`: every size-th."""
        for start in range(rank * self.batch_size, count, size * self.batch_size):
            yield start, min(start + self.batch_size, count)

    def gather_in_order(self, features: Tensor, count: int) -> Tensor:
        """The features of all processes [count, F], in the order of the samples."""
        size = collectives.world_size()
        parts = [torch.arange(*batch) for rank in range(size) for batch in self.iter_batch_ranges(count, rank, size)]
        order = torch.cat(parts).argsort()
        return collectives.all_gather_uneven(features.to(self.device)).cpu()[order]


def validate_samples(x: Tensor) -> tuple[Tensor, Tensor]:
    """Images as extractors want them, points as they are; and which are finite and in range: bool [N]."""
    if x.dtype == torch.uint8:
        return x, torch.ones(len(x), dtype=torch.bool, device=x.device)
    fine = (x.abs() <= MAX_ABS_SAMPLE_VALUE).flatten(1).all(1)  # False for NaN as well
    return (to_uint8(x) if x.dim() == 4 else x), fine
