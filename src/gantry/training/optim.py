"""How both nets descend: two optimisers that differ at most in their settings, one schedule, one bound on gradients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
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

    def optimizers(self, G: nn.Module, D: nn.Module) -> tuple[Optimizer, Optimizer]:
        """Of G and of D; their groups remember the rates that a schedule starts from."""
        optimizers = self.G(G.parameters()), self.D(D.parameters())
        for _, group in groups(optimizers):
            group["initial_lr"] = group["lr"]
        return optimizers


def groups(optimizers: Iterable[Optimizer]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The groups of parameters of several optimisers, by a name for the learning rate of each."""
    every = (group for optimizer in optimizers for group in optimizer.param_groups)
    return ((f"lr/{i}", group) for i, group in enumerate(every))
