"""One pass over a set of images, shared by all processes, which extracts the features that scores need."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.features.extractor import Extractor, check_validity, count_invalid_rows, extract_features
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.statistics import FeatureSet, Statistics

ImageSource = Callable[[int, int], Tensor]  # (start, stop) -> those images, see `FeaturePass.extract`

MAX_BATCH_BYTES = 2**28  # pixels of a batch: larger images come in smaller batches
STATISTICS_UPDATE_ROWS = 1000  # added to the statistics at a time: smaller products are slow


@dataclass(frozen=True)
class FeaturePass:
    """A pass in batches that the processes take in turn, so that the number of processes changes no score."""

    extractor: Extractor
    batch_size: int
    keep_features: bool
    device: torch.device
    arithmetic: str = "float32"

    def bound_memory(self, shape: tuple[int, ...] | None) -> Self:
        """Return a pass whose batches of images of this shape are not too large for the memory."""
        most = max(1, MAX_BATCH_BYTES // math.prod(shape or (1,)))
        return self if self.batch_size <= most else replace(self, batch_size=most)

    def extract(self, images: ImageSource, count: int) -> FeatureSet:
        """Read images 0 .. count - 1; every process must call it, and all get the same.

        images(start, stop) returns float [n, *shape] in [-1, 1], uint8 [n, C, H, W] or points float [n, 2]. Raises
        ValueError, on all processes, if samples are not finite or far out of range.
        """
        num_classes = self.extractor.num_classes
        statistics = Statistics(self.extractor.dim, self.device)
        predictions = PredictionSums(num_classes, self.device) if num_classes else None
        feature_parts = [torch.empty(0, self.extractor.dim)]
        recent: list[Tensor] = []
        of_bytes = False
        num_invalid = torch.zeros((), dtype=torch.int64, device=self.device)
        for start, stop in self.iter_batch_ranges(count, collectives.rank(), collectives.world_size()):
            x = images(start, stop).to(self.device)
            features, probabilities = extract_features(self.extractor, x, self.arithmetic)
            num_invalid += count_invalid_rows(features)
            of_bytes = x.dtype == torch.uint8
            recent.append(features)
            if sum(map(len, recent)) >= STATISTICS_UPDATE_ROWS:
                statistics.update(torch.cat(recent))
                recent.clear()
            if predictions is not None and probabilities is not None:
                predictions.update(probabilities, start)
            if self.keep_features:
                feature_parts.append(features.cpu())
        statistics.update(torch.cat([*recent, feature_parts[0].to(self.device)]))
        check_validity(collectives.all_reduce_sum_(num_invalid), count, of_bytes)
        statistics.sync()
        if predictions is not None:
            predictions.sync()
        features_in_order = self.gather_in_order(torch.cat(feature_parts), count) if self.keep_features else None
        return FeatureSet(statistics, predictions, features_in_order)

    def iter_batch_ranges(self, count: int, rank: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of the batches of one process among `size`: every size-th."""
        for start in range(rank * self.batch_size, count, size * self.batch_size):
            yield start, min(start + self.batch_size, count)

    def gather_in_order(self, features: Tensor, count: int) -> Tensor:
        """Return the features of all processes [count, F], in the order of the samples."""
        size = collectives.world_size()
        parts = [torch.arange(*batch) for rank in range(size) for batch in self.iter_batch_ranges(count, rank, size)]
        order = torch.cat(parts).argsort()
        return collectives.all_gather_uneven(features.to(self.device)).cpu()[order]
