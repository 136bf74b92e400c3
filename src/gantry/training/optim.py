"""The optimisers of G and D, their learning rates, and the bound on their gradients."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from gantry.nets.contract import Net
from gantry.schedules import Clock, Schedule, compute_number, constant

OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]


NetName = Literal["G", "D"]
Bound = float | Mapping[NetName, float | None] | None  # of both nets, or by net


@dataclass(frozen=True)
class Optim:
    """Optimisers of G and D as functions of the parameters, and how both nets use them.

    `schedule` gives the factor of the learning rates, `clip` bounds the L2 norm of each net's whole gradient and
    `clip_value` the size of each of its numbers: a number for both nets, or {G: number, D: null}. `accumulate` is the
    number of parts in which a batch is computed. `beta2` is that of Adam, a schedule; null leaves the optimisers' own.
    """

    G: OptimizerFactory
    D: OptimizerFactory
    schedule: Schedule = constant
    clip: Bound = None
    accumulate: int = 1
    clip_value: Bound = None
    beta2: float | Schedule | None = None

    def __post_init__(self) -> None:
        for key in ("clip", "clip_value"):
            bounds = getattr(self, key)
            for net, bound in bounds.items() if isinstance(bounds, Mapping) else [("", bounds)]:
                if bound is not None and bound <= 0:
                    raise ValueError(f"optim.{key}{net and '.'}{net} must be above 0 or null, got {bound}")
        if self.accumulate < 1:
            raise ValueError(f"optim.accumulate must be at least 1, got {self.accumulate}")

    def create_optimizers(self, G: Net, D: Net) -> tuple[Optimizer, Optimizer]:
        """Return the optimisers of G and D; each parameter group keeps its initial learning rate for the schedule."""
        optimizers = self.G(G.parameters()), self.D(D.parameters())
        for group in iter_param_groups(optimizers):
            group["initial_lr"] = group["lr"]
            if self.beta2 is not None and "betas" not in group:
                raise ValueError("optim.beta2 must be null for optimisers without betas, got a number or a schedule")
        return optimizers

    def clip_gradients_(self, net: NetName, parameters: list[Parameter]) -> None:
        """Clamp the numbers of the gradients of a net to `clip_value`, and scale them down to the norm `clip`."""
        bounds = (self.clip_value, self.clip)
        value, norm = (bound.get(net) if isinstance(bound, Mapping) else bound for bound in bounds)
        if value is not None:
            nn.utils.clip_grad_value_(parameters, value)
        if norm is not None:
            nn.utils.clip_grad_norm_(parameters, norm)

    def compute_rates(self, optimizers: Iterable[Optimizer], clock: Clock) -> tuple[float, ...]:
        """Return the learning rate of each parameter group, in the order of `iter_param_groups`."""
        factor = self.schedule(clock)
        return tuple(group["initial_lr"] * factor for group in iter_param_groups(optimizers))

    def set_rates_(self, optimizers: Iterable[Optimizer], lr: Iterable[float | Tensor], clock: Clock) -> None:
        """Set the learning rate of each parameter group, in the order of `iter_param_groups`, and Adam's beta2."""
        for group, rate in zip(iter_param_groups(optimizers), lr):
            group["lr"] = rate
            if self.beta2 is not None:
                group["betas"] = (group["betas"][0], compute_number(self.beta2, clock))


def iter_param_groups(optimizers: Iterable[Optimizer]) -> Iterator[dict[str, Any]]:
    """Iterate over the parameter groups of several optimisers."""
    return (group for optimizer in optimizers for group in optimizer.param_groups)


@torch.no_grad()
def clip_weights_(net: Net, bound: float | None) -> None:
    """Clamp every weight to [-bound, bound] (WGAN, Arjovsky et al. 2017, Algorithm 1, line 7)."""
    if bound is not None:
        torch._foreach_clamp_min_(list(net.parameters()), -bound)
        torch._foreach_clamp_max_(list(net.parameters()), bound)
