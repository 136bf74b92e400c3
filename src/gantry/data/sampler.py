"""Select the images of each turn: a function of (seed, turn), independent of the number of processes.

The images form one endless stream of permutations of the whole set, one for each epoch. Update b of D
takes positions b * batch_size to (b + 1) * batch_size - 1 of the stream: no image is dropped at the end of an
epoch, and a batch may be larger than the set. Each process keeps its own slice of every batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gantry import rng

_DATA_SEED_KEY = 0xDA7A5E7  # separates these streams from those that gantry.rng derives from the same seed


def _make_epoch_generator(seed: int, epoch: int, stream: int) -> torch.Generator:
    """Return a CPU generator: its numbers are the same for every training device."""
    return torch.Generator().manual_seed(rng.derive_seed(_DATA_SEED_KEY, seed, epoch, stream))


def _to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device, through pinned memory, so that no turn waits for the copy."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


@lru_cache(maxsize=4)
def draw_permutation(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Draw the order of the n images in an epoch: -> int64 [n]."""
    return _to_device(torch.randperm(n, generator=_make_epoch_generator(seed, epoch, 1)), device)


@lru_cache(maxsize=4)
def draw_flips(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Draw a fair coin for every position of an epoch: -> bool [n]."""
    return _to_device(torch.rand(n, generator=_make_epoch_generator(seed, epoch, 2)) < 0.5, device)


EpochDraw = Callable[[int, int, int, torch.device], Tensor]


@dataclass(frozen=True)
class InfiniteSampler:
    """The image indices of one process, turn by turn.

    `batch_size` is the number of real images of one update of D, over all processes. Raises ValueError unless
    the number of processes divides it.
    """

    n: int
    seed: int
    batch_size: int
    batches_per_turn: int
    flip: bool = False
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            rule = f"a multiple of the number of processes ({self.world_size})"
            raise ValueError(f"data.batch_size must be {rule}, got {self.batch_size}")

    def sample_indices(self, turn: int, device: torch.device) -> Tensor:
        """Return the indices of the images of a turn: -> int64 [batches_per_turn, batch_size / world_size]."""
        return self._draw_for_rank(draw_permutation, turn, device)

    def sample_flips(self, turn: int, device: torch.device) -> Tensor | None:
        """Return the mask of mirrored images: -> bool, the shape of `sample_indices`, or None without flips."""
        return self._draw_for_rank(draw_flips, turn, device) if self.flip else None

    def _draw_for_rank(self, draw: EpochDraw, turn: int, device: torch.device) -> Tensor:
        """Draw the values of a turn, which may span several epochs, and keep the slice of this rank."""
        size = self.batches_per_turn * self.batch_size
        start, stop = turn * size, (turn + 1) * size
        epochs = range(start // self.n, (stop - 1) // self.n + 1)
        parts = [
            draw(self.n, self.seed, epoch, device)[max(start - epoch * self.n, 0) : stop - epoch * self.n]
            for epoch in epochs
        ]
        turn_values = parts[0] if len(parts) == 1 else torch.cat(parts)
        local_batch_size = self.batch_size // self.world_size
        batches = turn_values.view(self.batches_per_turn, self.batch_size)
        return batches.narrow(1, self.rank * local_batch_size, local_batch_size)
