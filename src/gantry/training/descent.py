"""One step of an optimiser."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gantry import world
from gantry.training.optim import Optim
from gantry.training.play import Scalars


def descend(
    optimizer: Optimizer,
    losses: Iterable[tuple[Tensor, Scalars]],
    optim: Optim,
    may_step: Callable[[list[Tensor]], bool],
) -> Scalars:
    """One step on the mean of the losses, each of one part of the batch; -> the scalars, averaged likewise.

    Gradients are those of the global batch. `may_step` sees them and the scalars; where it says no, nothing moves.
    """
    parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    total: Scalars = {}
    for loss, scalars in losses:
        torch.autograd.backward(loss, loss.new_full((), 1 / optim.accumulate), inputs=parameters)
        for name, value in scalars.items():
            total[name] = total.get(name, 0) + value.detach() / optim.accumulate
    gradients = [p.grad for p in parameters if p.grad is not None]
    world.mean_(gradients)
    if not may_step([*gradients, *total.values()]):
        return {}
    if optim.clip is not None:
        nn.utils.clip_grad_norm_(parameters, optim.clip)
    optimizer.step()
    torch.clear_autocast_cache()  # it holds the weights as they were before the step
    return total
