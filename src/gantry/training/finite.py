"""Whether a state of training can be gone on from: no NaN, no infinity."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gantry.distributed import collectives

NamedTensors = Iterator[tuple[str, Tensor]]


class HasNets(Protocol):
    """What is asked of a GAN here."""

    D: nn.Module
    G: nn.Module
    G_ema: nn.Module

    @property
    def device(self) -> torch.device: ...


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether all numbers in tensors of one device are finite: -> bool [], which stays there."""
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            by_dtype.setdefault(tensor.dtype, []).append(tensor.detach())
    largest = [torch.stack(torch._foreach_norm(group, torch.inf)) for group in by_dtype.values()]
    return torch.cat([norms.isfinite() for norms in largest]).all() if largest else torch.tensor(True)


def named_state_tensors(gan: HasNets, optimizers: Iterable[Optimizer]) -> NamedTensors:
    """All that a checkpoint holds and a turn changes, on the device: D, which descends first, then G and G_ema."""
    names: dict[Tensor, str] = {}
    for net in ("D", "G", "G_ema"):
        for name, tensor in getattr(gan, net).state_dict(keep_vars=True).items():
            names[tensor] = f"{net}.{name}"
    yield from ((name, tensor) for tensor, name in names.items())
    for optimizer in optimizers:
        yield from _named_moments(optimizer.state, names, gan.device)


def _named_moments(
    state: Mapping[Tensor, Mapping[str, Any]], names: Mapping[Tensor, str], device: torch.device
) -> NamedTensors:
    for parameter, moments in state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.device == device:
                yield f"{names.get(parameter, 'a parameter')} ({name} of its optimiser)", value


def is_state_finite(gan: HasNets, optimizers: Iterable[Optimizer], *more: Tensor) -> bool:
    """Whether this state and some more numbers are finite on every process; every process calls it."""
    fine = all_finite([*(tensor for _, tensor in named_state_tensors(gan, optimizers)), *more])
    return int(collectives.all_reduce_sum_((~fine).to(gan.device, torch.int64))) == 0


def first_nonfinite(named: Iterable[tuple[str, Tensor]]) -> tuple[str, float] | None:
    """The name of the first tensor that is not finite, and a number in it that is not."""
    for name, tensor in named:
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return name, float(tensor.detach()[~tensor.isfinite()].flatten()[0])
    return None
