"""Conversion between the two pixel ranges: float in [-1, 1] for the nets, uint8 in 0..255 for files and metrics."""

import torch
from torch import Tensor


def to_uint8(x: Tensor) -> Tensor:
    """Convert x float, clamped to [-1, 1] -> uint8 in 0..255, rounded to the nearest level (never truncated)."""
    return x.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert x uint8 in 0..255 -> float in [-1, 1]; `to_uint8(from_uint8(x)) == x` for every level."""
    return x.to(dtype, copy=True).div_(127.5).sub_(1)
