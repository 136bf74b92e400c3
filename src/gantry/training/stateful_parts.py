"""Parts of a turn with state of their own: penalties with moving averages, augmentations with a probability.

They are torch.nn.Modules, whose buffers are saved with the run, averaged over the processes at the end of each turn and
put on the device. Both methods are optional, and write into buffers in place, so that a captured turn reads what they
have written:

- `observe(scalars)` follows each update that includes the part (for an augmentation, each update of D), with the
  scalars of the whole batch, means over all its parts and processes. An augmentation finds "logits/real_sign" there.
- `set_clock(clock)` comes before each turn, on the host, for numbers that are scheduled.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from gantry.schedules import Clock


def observe_scalars(parts: Iterable[object], scalars: Mapping[str, Tensor]) -> None:
    """Let the parts of an update observe its scalars; {} is an update that was left out."""
    for part in parts:
        if scalars and hasattr(part, "observe"):
            part.observe(scalars)


def set_clock(parts: Iterable[object], clock: Clock) -> None:
    """Tell the parts of a turn the time of training."""
    for part in parts:
        if hasattr(part, "set_clock"):
            part.set_clock(clock)
