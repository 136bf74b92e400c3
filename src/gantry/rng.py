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

_streams: dict[torch.device, torch.Generator] = {}
_seed = 0
ODD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples are far apart


def mix(*numbers: int) -> int:
    """Any non-negative integers -> one well mixed 63-bit seed, the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_turn(seed: int, turn: int) -> None:
    """Make all that is random from here on a function of (seed, rank, turn)."""
    global _seed
    _seed = mix(seed, turn)
    rewind()


def rewind() -> None:
    """Begin the draws of this turn again."""
    for stream in _streams.values():
        stream.manual_seed(_seed)
    _seed_torch((_seed + (collectives.rank() + 1) * ODD) % 2**63)


def _seed_torch(number: int) -> None:
    """`torch.manual_seed` for the devices in use; for those that are not, it would keep a stack trace at every turn."""
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def _stream(device: torch.device) -> torch.Generator:
    if device not in _streams:
        _streams[device] = torch.Generator(device).manual_seed(_seed)
    return _streams[device]


def streams(kind: str) -> list[torch.Generator]:
    """What draws on the devices of a kind, "cuda", come from."""
    return [stream for device, stream in _streams.items() if device.type == kind]


def _own(draws: Tensor) -> Tensor:
    return draws.chunk(collectives.size())[collectives.rank()]


def randn(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _own(torch.randn(n * collectives.size(), *shape, device=device, generator=_stream(device)))


def rand(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1) for the n samples of this process: -> [n, *shape]."""
    device = torch.device(device)
    return _own(torch.rand(n * collectives.size(), *shape, device=device, generator=_stream(device)))
