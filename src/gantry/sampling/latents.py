"""Latents and classes of samples: sample i depends on (seed, i) alone, not on batches or ranks."""

import torch
from torch import Tensor

from gantry.rng import derive_seed

LATENT_BLOCK_SIZE = 256  # latents drawn from one seed; any range of samples is cut from whole blocks


def sample_latents(seed: int, start: int, stop: int, size: int) -> Tensor:
    """Return the standard normal z of the samples start..stop-1: -> [stop - start, size], on CPU."""
    blocks = range(start // LATENT_BLOCK_SIZE, (stop + LATENT_BLOCK_SIZE - 1) // LATENT_BLOCK_SIZE)
    draws = [
        torch.randn(LATENT_BLOCK_SIZE, size, generator=torch.Generator().manual_seed(derive_seed(seed, b)))
        for b in blocks
    ]
    first = start - blocks.start * LATENT_BLOCK_SIZE
    return torch.cat([*draws, torch.empty(0, size)])[first : first + stop - start]


def balanced_labels(start: int, stop: int, num_classes: int) -> Tensor:
    """Return the classes of the samples start..stop-1, every class equally often: -> int64 [stop - start].

    All classes in turn, each round beginning one class later, so that no class has the same place in every batch.
    """
    i, count = torch.arange(start, stop), max(num_classes, 1)
    return (i + i // count) % count


def slerp(start: Tensor, stop: Tensor, t: float) -> Tensor:
    """Interpolate from start to stop [N, z_dim] along the arc between them, near which normal z lie (White 2016)."""
    cosine = torch.nn.functional.cosine_similarity(start, stop, dim=1).clamp(-1, 1)
    angle = cosine.acos()[:, None]
    arc = (((1 - t) * angle).sin() * start + (t * angle).sin() * stop) / angle.sin()
    return torch.where(angle.sin() > 1e-4, arc, torch.lerp(start, stop, t))
