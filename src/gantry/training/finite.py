"""Check the training state for NaN and infinity."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from gantry.distributed import collectives
from gantry.nets.contract import Discriminator, Generator

NamedTensors = Iterator[tuple[str, Tensor]]


class HasNets(Protocol):
    """The part of a GAN that is checked here."""

    D: Discriminator
    G: Generator
    G_ema: Generator

    @property
    def device(self) -> torch.device: ...


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return whether all numbers in tensors of one device are finite: -> bool [] on that device."""
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            by_dtype.setdefault(tensor.dtype, []).append(tensor.detach())
    largest = [torch.stack(torch._foreach_norm(group, torch.inf)) for group in by_dtype.values()]
    return torch.cat([norms.isfinite() for norms in largest]).all() if largest else torch.tensor(True)


def named_state_tensors(gan: HasNets, optimizers: Iterable[Optimizer]) -> NamedTensors:
    """Iterate over the tensors on the device that a checkpoint holds: D, which is updated first, G, G_ema, moments."""
    names: dict[Tensor, str] = {}
    for name, net in (("D", gan.D), ("G", gan.G), ("G_ema", gan.G_ema)):
        for key, tensor in net.state_dict(keep_vars=True).items():
            names[tensor] = f"{name}.{key}"
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
    """Return whether this state and more tensors are finite on every process; every process must call it."""
    finite = all_finite([*(tensor for _, tensor in named_state_tensors(gan, optimizers)), *more])
    return int(collectives.all_reduce_sum_((~finite).to(gan.device, torch.int64))) == 0


def first_nonfinite(named: Iterable[tuple[str, Tensor]]) -> tuple[str, float] | None:
    """Return the name of the first tensor that is not finite, and one such number in it; None if all are finite."""
    for name, tensor in named:
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return name, float(tensor.detach()[~tensor.isfinite()].flatten()[0])
    return None
