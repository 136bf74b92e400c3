"""How the updates of a turn are made."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

ScalarTensors = dict[str, Tensor]
UpdateFunction = Callable[[Tensor, Tensor], list[ScalarTensors]]


class TurnExecutor(Protocol):
    """Makes the updates of a turn from its batches x and c: -> the scalars of each.

    Turns of one kind do the same but for their numbers, their draws and their images.
    """

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        """Before the first turn of this process; the state of a checkpoint is in place."""

    def prepare_values(self, numbers: Mapping[str, float], device: torch.device) -> Mapping[str, Any]:
        """The numbers of this turn, as its updates are to read them."""

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]: ...


class EagerExecutor:
    """The updates as they are written."""

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        """Optimisers of a run that was recorded, on another machine, need not be able to be any more."""
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            if "capturable" in group:
                group["capturable"] = False

    def prepare_values(self, numbers: Mapping[str, float], device: torch.device) -> Mapping[str, Any]:  # noqa: ARG002
        """The numbers themselves."""
        return numbers

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]:  # noqa: ARG002
        return updates(x, c)
