"""G_ema: the exponential moving average of the generator's weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gantry.nets.contract import Net
from gantry.schedules import Clock, Schedule, compute_number


@dataclass(frozen=True)
class Ema:
    """Exponential moving average with a half-life in kimg, a number or a schedule (Karras et al. 2018).

    Early in training the half-life is `ramp` times the kimg seen so far (Karras et al. 2020, ADA: 0.05), so that the
    average does not hold on to the untrained generator; `ramp: null` applies the whole half-life from the first turn.
    """

    half_life: float | Schedule
    ramp: float | None = 0.05

    def __post_init__(self) -> None:
        if not callable(self.half_life) and self.half_life < 0:
            raise ValueError(f"ema.half_life must be at least 0 kimg, got {self.half_life}")
        if self.ramp is not None and self.ramp <= 0:
            raise ValueError(f"ema.ramp must be above 0 or null, got {self.ramp}")

    def compute_decay(self, clock: Clock, kimg_per_turn: float) -> float:
        """Return the weight of the old average after a turn that begins at the time of the clock: in [0, 1)."""
        half_life = compute_number(self.half_life, clock)
        if self.ramp is not None:
            half_life = min(half_life, self.ramp * clock.kimg)
        return 0.5 ** (kimg_per_turn / half_life) if half_life > 0 else 0.0


TensorSlot = tuple[dict[str, Any], str]  # the dict of a module that holds a tensor, and its name there


class WeightAverage:
    """Pairs each parameter and buffer of an average with its own of the net; a shared one counts once.

    Tensors are read from the dicts of the modules, which are found once: walking over the modules at each turn would
    cost more than the mean itself.
    """

    def __init__(self, average: Net, net: Net) -> None:
        self.slot_pairs = list(zip(find_tensor_slots(average), find_tensor_slots(net)))

    @torch.no_grad()
    def lerp_(self, decay: float | Tensor) -> None:
        """Set average <- decay * average + (1 - decay) * net; integers are copied.

        The decay may be a tensor [] on their device, which torch's own lerp of lists does not accept.
        """
        pairs = [(here[a], there[b]) for (here, a), (there, b) in self.slot_pairs]
        old = [a for a, _ in pairs if a.is_floating_point()]
        new = [b for _, b in pairs if b.is_floating_point()]
        if isinstance(decay, Tensor):
            step = torch._foreach_sub(new, old)
            torch._foreach_mul_(step, 1.0 - decay)
            torch._foreach_add_(old, step)
        else:
            torch._foreach_lerp_(old, new, 1.0 - decay)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)


def find_tensor_slots(net: Net) -> list[TensorSlot]:
    """Return where the modules of a net hold their parameters and buffers, each tensor once."""
    dicts: list[dict[str, Any]] = [tensors for m in net.modules() for tensors in (m._parameters, m._buffers)]
    slots = [(tensors, name) for tensors in dicts for name in tensors]
    unique = {id(tensors[name]): (tensors, name) for tensors, name in slots if tensors[name] is not None}
    return list(unique.values())
