"""Execute the updates of a turn: eagerly here, as a captured CUDA graph in `cuda_graphs`."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

Number = float | Tensor
ScalarTensors = dict[str, Tensor]
UpdateFunction = Callable[[Tensor, Tensor], list[ScalarTensors]]


@dataclass(frozen=True)
class TurnValues:
    """The numbers that change from turn to turn: floats, or tensors [] where a captured turn reads them.

    `lr` has the learning rate of each parameter group, those of G first; `ema_decay` is the weight of the old average;
    `d_scale` and `g_scale` have the factor of each term of the losses of D and G; `top_k` is the fraction of the fakes
    that G learns from, None for all.
    """

    lr: tuple[Number, ...]
    ema_decay: Number
    d_scale: Mapping[str, Number]
    g_scale: Mapping[str, Number]
    top_k: Number | None = None

    def map(self, convert: Callable[[str, Number], Number]) -> "TurnValues":
        """Return convert(key, number) in the place of each number; a key is unique."""
        return TurnValues(
            lr=tuple(convert(f"lr/{i}", number) for i, number in enumerate(self.lr)),
            ema_decay=convert("ema_decay", self.ema_decay),
            d_scale={name: convert(f"D/{name}", number) for name, number in self.d_scale.items()},
            g_scale={name: convert(f"G/{name}", number) for name, number in self.g_scale.items()},
            top_k=None if self.top_k is None else convert("top_k", self.top_k),
        )


class TurnExecutor(Protocol):
    """Executes the updates of a turn on its batches x and c: -> the scalars of each update.

    Turns of one kind differ in nothing but their numbers, their random draws and their images.
    """

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        """Prepare for the first turn of this process; the state of a checkpoint has been loaded."""

    def prepare_values(self, values: TurnValues, device: torch.device) -> TurnValues:
        """Return the numbers of this turn in the form in which its updates read them."""

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]: ...


class EagerExecutor:
    """Calls the updates, operation by operation."""

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        """Clear the flag `capturable`: a checkpoint of captured turns sets it, also on machines without capture."""
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            if "capturable" in group:
                group["capturable"] = False

    def prepare_values(self, values: TurnValues, device: torch.device) -> TurnValues:  # noqa: ARG002
        """Return the numbers as they are."""
        return values

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]:  # noqa: ARG002
        return updates(x, c)
