"""Samples for evaluation and for people: sample i depends on (seed, i) alone, not on batches or ranks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gantry.noise import mix

BLOCK = 256  # latents drawn from one seed; any range of samples is cut from whole blocks
Net = Any  # a generator: a module with `shape`, `z_dim` and `num_classes`, which nn.Module takes for tensors


def latents(seed: int, start: int, stop: int, z_dim: int) -> Tensor:
    """Standard normal z of the samples start..stop-1: -> [stop - start, z_dim], on CPU."""
    blocks = range(start // BLOCK, (stop + BLOCK - 1) // BLOCK)
    draws = [torch.randn(BLOCK, z_dim, generator=torch.Generator().manual_seed(mix(seed, b))) for b in blocks]
    first = start - blocks.start * BLOCK
    return torch.cat([*draws, torch.empty(0, z_dim)])[first : first + stop - start]


def labels(start: int, stop: int, num_classes: int) -> Tensor:
    """Classes of the samples start..stop-1, every class equally often: -> int64 [stop - start].

    All classes in turn, each round beginning one class later: every tenth sample, which is a split of the Inception
    Score, must not be of one class when there are ten.
    """
    i, count = torch.arange(start, stop), max(num_classes, 1)
    return (i + i // count) % count


def samples(G: Net, seed: int, start: int, stop: int, batch_size: int, device: torch.device | str) -> Iterator[Tensor]:
    """Images start..stop-1 of the generator, batch by batch: x float [n, *shape] in [-1, 1] on the device."""
    for first in range(start, stop, batch_size):
        last = min(first + batch_size, stop)
        z = latents(seed, first, last, G.z_dim)
        c = labels(first, last, G.num_classes)
        yield generate(G, z.to(device), c.to(device))


@torch.no_grad()
def generate(G: Net, z: Tensor, c: Tensor | None) -> Tensor:
    """G(z, c) in evaluation mode, float32 whatever G's weights are; G is left in the mode it was in."""
    training = G.training
    G.eval()
    x: Tensor = G(z.to(next(G.parameters()).dtype), c)
    G.train(training)
    return x.float()
