"""A torchmetrics Metric whose states are moved between devices and never cast, for sums over images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class Float64Metric(Metric):
    """A Metric whose states keep their dtypes, float64 in particular, when the module that contains it is cast.

    `.half()`, `.to(torch.bfloat16)` and `set_dtype` change nothing. Where the device has no float64 (Apple's), all
    states stay on the CPU.
    """

    is_differentiable = False
    full_state_update = False  # `forward` merges the states of a batch instead of updating twice

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        def move(tensor: Tensor) -> Tensor:
            """Move a tensor to the device that `fn` moves it to, in its own dtype."""
            return tensor.to(select_float64_device(find_target_device(fn, tensor)))

        return super()._apply(move, *args, **kwargs)


def find_target_device(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> torch.device:
    """Return the device that `fn` moves a tensor to; a float32 tensor shows it, since every device has float32."""
    return fn(torch.empty(0, device=tensor.device)).device


def select_float64_device(device: torch.device | str) -> torch.device:
    """Return the device itself, or the CPU in place of one without float64 (Apple's)."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device
