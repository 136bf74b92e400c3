"""Random numbers of a turn. A draw belongs to a sample of the global batch, not to a process.

Every process draws the numbers of the whole global batch from one stream and keeps those of its own samples. So
the numbers depend on (seed, turn) alone, no two ranks share any, and two processes with half the batch each see
exactly what one process would have seen. Whatever else draws from torch's global generator (dropout, say) is
seeded by (seed, rank, turn) and differs by rank as well.
"""

import numpy as np
import torch
from torch import Tensor

from gantry.distributed import collectives

_generators: dict[torch.device, torch.Generator] = {}
_turn_seed = 0
GOLDEN_RATIO_64 = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples are far apart


def derive_seed(*numbers: int) -> int:
    """Any non-negative integers -> one well mixed 63-bit seed, the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_turn(seed: int, turn: int) -> None:
    """Make all that is random from here on a function of (seed, rank, turn)."""
    global _turn_seed
    _turn_seed = derive_seed(seed, turn)
    reseed()


def reseed() -> None:
    """Begin the draws of this turn again."""
    for stream in _generators.values():
        stream.manual_seed(_turn_seed)
    _seed_default_generators((_turn_seed + (collectives.rank() + 1) * GOLDEN_RATIO_64) % 2**63)


def _seed_default_generators(number: int) -> None:
    """`torch.manual_seed` for the devices in use; for those that are not, it would keep a stack trace at every turn."""
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def _device_generator(device: torch.device) -> torch.Generator:
    if device not in _generators:
        _generators[device] = torch.Generator(device).manual_seed(_turn_seed)
    return _generators[device]


def device_generators(kind: str) -> list[torch.Generator]:
    """What draws on the devices of a kind, "cuda", come from."""
    return [stream for device, stream in _generators.items() if device.type == kind]


def _local_chunk(draws: Tensor) -> Tensor:
    return draws.chunk(collectives.world_size())[collectives.rank()]


def randn(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _local_chunk(
        torch.randn(n * collectives.world_size(), *shape, device=device, generator=_device_generator(device))
    )


def rand(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1) for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _local_chunk(
        torch.rand(n * collectives.world_size(), *shape, device=device, generator=_device_generator(device))
    )
