"""How both nets descend: two optimisers that differ at most in their settings, one schedule, one bound on gradients."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch.nn import Parameter
from torch.optim import Optimizer

from gantry.training.schedules import Schedule, constant

MakeOptimizer = Callable[[Iterable[Parameter]], Optimizer]


@dataclass(frozen=True)
class Optim:
    """Optimisers of G and D as functions of the parameters; `clip` bounds the norm of each net's whole gradient."""

    G: MakeOptimizer
    D: MakeOptimizer
    schedule: Schedule = constant
    clip: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"optim.clip must be above 0 or null, got {self.clip}")
        if self.accumulate < 1:
            raise ValueError(f"optim.accumulate must be at least 1, got {self.accumulate}")
