"""Sums of class probabilities over the splits of the Inception Score, streamed in float64."""

from typing import Any

import torch
from torch import Tensor

from gantry.metrics.float64_metric import Float64Metric

NUM_SCORE_SPLITS = 10  # parts that the Inception Score is averaged over
SPLIT_RULE = f"{NUM_SCORE_SPLITS} by a fixed permutation"  # of the indices of the samples, as protocols state it
SPLIT_KEY = 14960  # the first with which the first ten samples belong to ten splits
UINT32 = 0xFFFFFFFF


def assign_splits(start: int, stop: int) -> Tensor:
    """Return the splits of the samples start .. stop - 1: int64 [stop - start] on the CPU.

    A sample's split depends on its index alone: batches, ranks and the number of samples change nothing. Samples often
    come sorted or cyclic by class, so that every tenth of them may be of one class; therefore the index is permuted
    first, by the finaliser of MurmurHash3, a bijection of 32 bits. Equal splits of every ten samples would not do: of
    sorted samples each would hold a tenth of each class, which no random split does. Sizes vary by sqrt(0.09 N).
    """
    x = (torch.arange(start, stop) ^ SPLIT_KEY) & UINT32
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & UINT32
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & UINT32
    return (x ^ (x >> 16)) % NUM_SCORE_SPLITS


class PredictionSums(Float64Metric):
    """Sums over the samples of each split, in float64: n [S], p [S, K] and p_log_p [S] (of the sum over the classes
    of p log p); and argmax_counts int64 [K], the number of samples for which each class is the likeliest."""

    n: Tensor
    p: Tensor
    p_log_p: Tensor
    argmax_counts: Tensor

    def __init__(self, num_classes: int, device: torch.device | str = "cpu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        per_split = torch.zeros(NUM_SCORE_SPLITS, dtype=torch.float64)
        self.add_state("n", per_split, dist_reduce_fx="sum")
        self.add_state("p", per_split.new_zeros(NUM_SCORE_SPLITS, num_classes), dist_reduce_fx="sum")
        self.add_state("p_log_p", per_split.clone(), dist_reduce_fx="sum")
        self.add_state("argmax_counts", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.to(device)

    def update(self, probabilities: Tensor, start: int | None = None) -> None:
        """Add the probabilities [N, K] of the samples start .. start + N - 1, by default of the next N."""
        probabilities = probabilities.to(self.p.device)
        p = probabilities.double()
        first = int(self.n.sum()) if start is None else start
        split = assign_splits(first, first + len(p)).to(p.device)
        self.n.index_add_(0, split, torch.ones_like(p[:, 0]))
        self.p.index_add_(0, split, p)
        self.p_log_p.index_add_(0, split, p_log_p(probabilities).sum(1, dtype=p.dtype))
        self.argmax_counts += probabilities.argmax(1).bincount(minlength=p.shape[1])

    def compute(self) -> Tensor:
        """Return the mean probabilities [K] over all ranks."""
        return self.p.sum(0) / self.n.sum()


def p_log_p(p: Tensor) -> Tensor:
    """Return p log p, which is 0 at 0: as torch.special.entr does, in a third of its time on a CPU."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log_().mul_(p)
