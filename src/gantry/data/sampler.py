"""Which images a turn shows to D: a function of (seed, turn), however many processes share the work.

The images form one endless stream, a permutation of the whole set after another, one an epoch. Update b of D
takes positions b * batch_size to (b + 1) * batch_size - 1 of the stream: no image is dropped at the end of an
epoch, and a batch may be larger than the set. Each process keeps its own slice of every batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gantry import rng

_DATA_SEED_KEY = 0xDA7A5E7  # keeps these numbers apart from those that gantry.rng draws from the same seed


def _make_epoch_generator(seed: int, epoch: int, what: int) -> torch.Generator:
    return torch.Generator().manual_seed(rng.derive_seed(_DATA_SEED_KEY, seed, epoch, what))


def _to_device(draws: Tensor, device: torch.device) -> Tensor:
    """Drawn on the CPU, so the same on every device; through pinned memory, so that no turn waits for it."""
    return draws.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else draws.to(device)


@lru_cache(maxsize=4)
def draw_permutation(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """The order of the n images in an epoch: -> int64 [n]."""
    return _to_device(torch.randperm(n, generator=_make_epoch_generator(seed, epoch, 1)), device)


@lru_cache(maxsize=4)
def draw_flips(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """A fair coin for every position of an epoch: -> bool [n]."""
    return _to_device(torch.rand(n, generator=_make_epoch_generator(seed, epoch, 2)) < 0.5, device)


EpochDraw = Callable[[int, int, int, torch.device], Tensor]


@dataclass(frozen=True)
class InfiniteSampler:
    """The part of the stream that one process sees, turn by turn.

    `batch_size` is the number of real images of one update of D, over all processes. Raises ValueError where
    they do not divide it.
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
        """Numbers of the images of a turn: -> int64 [batches_per_turn, batch_size / world_size]."""
        return self._draw_for_rank(draw_permutation, turn, device)

    def sample_flips(self, turn: int, device: torch.device) -> Tensor | None:
        """Which of these images are mirrored: -> bool, the shape of `indices`, or None where none ever is."""
        return self._draw_for_rank(draw_flips, turn, device) if self.flip else None

    def _draw_for_rank(self, draw: EpochDraw, turn: int, device: torch.device) -> Tensor:
        size = self.batches_per_turn * self.batch_size
        start, stop = turn * size, (turn + 1) * size
        epochs = range(start // self.n, (stop - 1) // self.n + 1)
        parts = [
            draw(self.n, self.seed, epoch, device)[max(start - epoch * self.n, 0) : stop - epoch * self.n]
            for epoch in epochs
        ]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        own = self.batch_size // self.world_size
        return whole.view(self.batches_per_turn, self.batch_size).narrow(1, self.rank * own, own)


def evenly_spaced_indices(count: int, total: int) -> Tensor:
    """`count` of the numbers 0 .. total - 1, spread evenly from first to last: int64 [count]."""
    return torch.linspace(0, total - 1, count, dtype=torch.float64).round().long()
