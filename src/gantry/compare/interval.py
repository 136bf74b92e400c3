"""Confidence intervals over training seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Interval:
    """The 95 % interval `mean` +- `half` of a mean over `n` training seeds (Student's t); half is None for one seed."""

    mean: float
    half: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + ("" if self.half is None else f" ± {self.half:.2g}")


def confidence_interval(values: Sequence[float]) -> Interval:
    """Return the interval of independent values, one for each seed."""
    n, mean = len(values), fmean(values)
    if n < 2:
        return Interval(mean, None, n)
    from scipy.stats import t

    return Interval(mean, float(t.ppf(0.975, n - 1)) * stdev(values) / n**0.5, n)
