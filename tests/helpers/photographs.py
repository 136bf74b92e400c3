"""Random pictures that are smooth, as photographs are."""

import torch
from torch import Tensor, nn


def photographs(n: int, seed: int) -> Tensor:
    """Smooth random pictures, uint8 [n, 3, 32, 32], whose contrast differs by seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n, 3, 6, 6, generator=generator) * (50 + 10 * seed)
    x = nn.functional.interpolate(coarse, (32, 32), mode="bicubic") + 128
    return x.clamp(0, 255).to(torch.uint8)
