"""The optimisers of G and D, their learning rates, and the bound on their gradients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from gantry.nets.contract import Net
from gantry.training.schedules import Schedule, constant

OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]


@dataclass(frozen=True)
class Optim:
    """Optimisers of G and D as functions of the parameters, and how both nets use them.

    `schedule` gives the factor of the learning rates, `clip` bounds the L2 norm of each net's whole gradient, and
    `accumulate` is the number of parts in which a batch is computed.
    """

    G: OptimizerFactory
    D: OptimizerFactory
    schedule: Schedule = constant
    clip: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"optim.clip must be above 0 or null, got {self.clip}")
        if self.accumulate < 1:
            raise ValueError(f"optim.accumulate must be at least 1, got {self.accumulate}")

    def create_optimizers(self, G: Net, D: Net) -> tuple[Optimizer, Optimizer]:
        """Return the optimisers of G and D; each parameter group keeps its initial learning rate for the schedule."""
        optimizers = self.G(G.parameters()), self.D(D.parameters())
        for group in iter_param_groups(optimizers):
            group["initial_lr"] = group["lr"]
        return optimizers

    def clip_gradients_(self, parameters: list[Parameter]) -> None:
        """Scale the gradients down to the norm `clip` if they exceed it."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.clip)


def iter_param_groups(optimizers: Iterable[Optimizer]) -> Iterator[dict[str, Any]]:
    """Iterate over the parameter groups of several optimisers."""
    return (group for optimizer in optimizers for group in optimizer.param_groups)


def set_learning_rates(optimizers: Iterable[Optimizer], rates: Iterable[float | Tensor]) -> None:
    """Set the learning rate of each parameter group, in the order of `iter_param_groups`."""
    for group, rate in zip(iter_param_groups(optimizers), rates):
        group["lr"] = rate
