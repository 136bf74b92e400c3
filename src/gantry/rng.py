"""Random numbers of a turn, assigned to the samples of the global batch and not to processes.

Every process draws the numbers of the whole global batch from one stream and keeps those of its own samples. So
the numbers depend on (seed, turn) alone, no two ranks share any, and two processes with half the batch each use
exactly the numbers that one process would use. Anything else that draws from torch's global generator (dropout,
for example) is seeded by (seed, rank, turn) and differs by rank as well.
"""

import numpy as np
import torch
from torch import Tensor

from gantry.distributed import collectives

_generators: dict[torch.device, torch.Generator] = {}
_turn_seed = 0
GOLDEN_RATIO_64 = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples are far apart


def derive_seed(*numbers: int) -> int:
    """Hash any non-negative integers to one 63-bit seed, the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_turn(seed: int, turn: int) -> None:
    """Seed all generators, so that every following draw is a function of (seed, rank, turn)."""
    global _turn_seed
    _turn_seed = derive_seed(seed, turn)
    reseed()


def reseed() -> None:
    """Restart the random streams of the current turn from their beginning."""
    for generator in _generators.values():
        generator.manual_seed(_turn_seed)
    _seed_default_generators((_turn_seed + (collectives.rank() + 1) * GOLDEN_RATIO_64) % 2**63)


def _seed_default_generators(seed: int) -> None:
    """Seed torch's generators of the devices in use.

    `torch.manual_seed` would also store a stack trace for every device that is not initialised, at every turn.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def _device_generator(device: torch.device) -> torch.Generator:
    if device not in _generators:
        _generators[device] = torch.Generator(device).manual_seed(_turn_seed)
    return _generators[device]


def device_generators(kind: str) -> list[torch.Generator]:
    """Return the generators in use on all devices of a kind, such as "cuda"."""
    return [generator for device, generator in _generators.items() if device.type == kind]


def _local_chunk(values: Tensor) -> Tensor:
    """Return the part of this rank: [world_size * N, ...] -> [N, ...]."""
    return values.chunk(collectives.world_size())[collectives.rank()]


def randn(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Draw standard normal numbers for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _local_chunk(
        torch.randn(n * collectives.world_size(), *shape, device=device, generator=_device_generator(device))
    )


def rand(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Draw uniform numbers in [0, 1) for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _local_chunk(
        torch.rand(n * collectives.world_size(), *shape, device=device, generator=_device_generator(device))
    )


def rand_classes(n: int, shares: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Draw class ids for the n samples of this process, class k with probability shares[k]: -> int64 [n]."""
    bounds = shares.to(device).double().cumsum(0)[:-1].float()  # the last class takes the rest
    return torch.bucketize(rand(n, device=device), bounds, right=True)
