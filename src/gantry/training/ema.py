"""The average of the generator over its training."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Ema:
    """Exponential moving average with a half-life in kimg (Karras et al. 2018), as long as training allows.

    Early on the half-life is `ramp` times the kimg seen so far (Karras et al. 2020, ADA: 0.05), so that the average
    never holds on to the untrained generator; `ramp: null` applies the whole half-life from the first turn.
    """

    half_life: float
    ramp: float | None = 0.05

    def __post_init__(self) -> None:
        if self.half_life < 0:
            raise ValueError(f"ema.half_life must be at least 0 kimg, got {self.half_life}")
        if self.ramp is not None and self.ramp <= 0:
            raise ValueError(f"ema.ramp must be above 0 or null, got {self.ramp}")

    def decay(self, kimg: float, kimg_of_turn: float) -> float:
        """Weight of the old average after a turn of `kimg_of_turn`, `kimg` having been seen: in [0, 1)."""
        half_life = self.half_life if self.ramp is None else min(self.half_life, self.ramp * kimg)
        return 0.5 ** (kimg_of_turn / half_life) if half_life > 0 else 0.0


@torch.no_grad()
def lerp_(average: nn.Module, net: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * net: parameters and buffers; integers are copied."""
    old, new = list(average.state_dict().values()), list(net.state_dict().values())
    real = [i for i, tensor in enumerate(old) if tensor.is_floating_point()]
    torch._foreach_lerp_([old[i] for i in real], [new[i] for i in real], 1.0 - decay)
    for i in set(range(len(old))) - set(real):
        old[i].copy_(new[i])
