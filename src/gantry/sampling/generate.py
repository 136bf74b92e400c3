"""Generate samples batch by batch, in evaluation mode; latents.py, which draws their z and c, needs no G."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gantry.nets.contract import Generator, count_latent_numbers
from gantry.sampling.latents import balanced_labels, sample_latents

GENERATE_BATCH_SIZE = 128


def iter_sample_batches(
    G: Generator, seed: int, start: int, stop: int, batch_size: int, device: torch.device | str
) -> Iterator[Tensor]:
    """Yield images start..stop-1 of the generator, batch by batch: x float [n, *shape] in [-1, 1] on the device."""
    for first in range(start, stop, batch_size):
        last = min(first + batch_size, stop)
        z = sample_latents(seed, first, last, count_latent_numbers(G))
        c = balanced_labels(first, last, G.num_classes)
        yield generate(G, z.to(device), c.to(device))


@torch.no_grad()
def generate(G: Generator, z: Tensor, c: Tensor | None) -> Tensor:
    """Return G(z, c) in evaluation mode, as float32 for any dtype of G's weights; the mode of G is restored."""
    training = G.training
    G.eval()
    x: Tensor = G(z.to(next(G.parameters()).dtype), c)
    G.train(training)
    return x.float()


def generate_on_cpu(G: Generator, z: Tensor, c: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Return G's samples on the CPU: x float [N, *shape] in [-1, 1]."""
    batches = zip(torch.split(z, GENERATE_BATCH_SIZE), torch.split(c, GENERATE_BATCH_SIZE))
    return torch.cat([generate(G, z_part.to(device), c_part.to(device)).cpu() for z_part, c_part in batches])
