"""Class probabilities of samples, summed: all that the classifier score and the count of classes need."""

import torch
from torch import Tensor

from gantry import world
from gantry.metrics.statistics import float64_device

SPLITS = 10  # parts that the Inception Score is averaged over; sample i belongs to part i mod SPLITS


class Predictions:
    """Sums over the samples of each split, in float64: n [S], p [S, K] and p_log_p [S] (of the sum over the
    classes of p log p); and winners int64 [K], the number of samples that each class is the likeliest of."""

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        device = float64_device(device)
        self.n = torch.zeros(SPLITS, dtype=torch.float64, device=device)
        self.p = torch.zeros(SPLITS, num_classes, dtype=torch.float64, device=device)
        self.p_log_p = torch.zeros(SPLITS, dtype=torch.float64, device=device)
        self.winners = torch.zeros(num_classes, dtype=torch.int64, device=device)

    def update(self, start: int, probabilities: Tensor) -> None:
        """Take in the probabilities [N, K] of the samples start .. start + N - 1."""
        probabilities = probabilities.to(self.p.device)
        p = probabilities.double()
        split = torch.arange(start, start + len(p), device=p.device) % SPLITS
        self.n.index_add_(0, split, torch.ones_like(p[:, 0]))
        self.p.index_add_(0, split, p)
        self.p_log_p.index_add_(0, split, p_log_p(probabilities).sum(1, dtype=p.dtype))
        self.winners += probabilities.argmax(1).bincount(minlength=p.shape[1])

    def over_ranks(self) -> "Predictions":
        """The sums of all processes; every process must call it, also one that saw nothing."""
        whole = Predictions(self.p.shape[1], self.p.device)
        whole.n, whole.p = world.sum_(self.n.clone()), world.sum_(self.p.clone())
        whole.p_log_p, whole.winners = world.sum_(self.p_log_p.clone()), world.sum_(self.winners.clone())
        return whole


def p_log_p(p: Tensor) -> Tensor:
    """p log p, which is 0 at 0; what torch.special.entr gives, in a third of its time on a CPU."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log_().mul_(p)
