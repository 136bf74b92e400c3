"""The arithmetic and the memory traffic of a piece of work, counted while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class OperationCost:
    """Operations of matrix products and convolutions (a product and a sum are two), and bytes read and written."""

    flops: int
    bytes: int


class MemoryTraffic(TorchDispatchMode):
    """Adds up the sizes of all tensors that operations take and give, views left out.

    That is what would go through the memory if every operation read its inputs from it and wrote its results to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = (leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor))
            self.bytes += sum({id(t): t.numel() * t.element_size() for t in tensors}.values())
        return out


def count_cost(work: Callable[[], object]) -> OperationCost:
    """What the work costs."""
    with FlopCounterMode(display=False) as flops, MemoryTraffic() as traffic:
        work()
    return OperationCost(flops.get_total_flops(), traffic.bytes)


def make_matmul(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Callable[[], object], float]:
    """A product of two matrices [n, n] and its operations."""
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * n**3


def make_copy(n: int, device: torch.device) -> tuple[Callable[[], object], float]:
    """A copy of n bytes and the bytes that it reads and writes."""
    a, b = (torch.zeros(n, dtype=torch.uint8, device=device) for _ in range(2))
    return lambda: b.copy_(a), 2.0 * n
