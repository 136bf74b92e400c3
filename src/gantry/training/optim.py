"""How both nets descend: two optimisers that differ at most in their settings, one schedule, one bound on gradients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from gantry.distributed import collectives
from gantry.training.executor import ScalarTensors
from gantry.training.schedules import Schedule, constant

OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]


@dataclass(frozen=True)
class Optim:
    """Optimisers of G and D as functions of the parameters; `clip` bounds the norm of each net's whole gradient."""

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

    def create_optimizers(self, G: nn.Module, D: nn.Module) -> tuple[Optimizer, Optimizer]:
        """Of G and of D; their groups remember the rates that a schedule starts from."""
        optimizers = self.G(G.parameters()), self.D(D.parameters())
        for _, group in named_param_groups(optimizers):
            group["initial_lr"] = group["lr"]
        return optimizers


def named_param_groups(optimizers: Iterable[Optimizer]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The groups of parameters of several optimisers, by a name for the learning rate of each."""
    every = (group for optimizer in optimizers for group in optimizer.param_groups)
    return ((f"lr/{i}", group) for i, group in enumerate(every))


def accumulate_and_step(
    optimizer: Optimizer,
    losses: Iterable[tuple[Tensor, ScalarTensors]],
    optim: Optim,
    may_step: Callable[[list[Tensor]], bool],
) -> ScalarTensors:
    """One step on the mean of the losses, each of one part of the batch; -> the scalars, averaged likewise.

    Gradients are those of the global batch. `may_step` sees them and the scalars; where it says no, nothing moves.
    """
    parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    total: ScalarTensors = {}
    for loss, scalars in losses:
        torch.autograd.backward(loss, loss.new_full((), 1 / optim.accumulate), inputs=parameters)
        for name, value in scalars.items():
            total[name] = total.get(name, 0) + value.detach() / optim.accumulate
    gradients = [p.grad for p in parameters if p.grad is not None]
    collectives.all_reduce_mean_(gradients)
    if not may_step([*gradients, *total.values()]):
        return {}
    if optim.clip is not None:
        nn.utils.clip_grad_norm_(parameters, optim.clip)
    optimizer.step()
    torch.clear_autocast_cache()  # it holds the weights as they were before the step
    return total
