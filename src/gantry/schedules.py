"""Schedules: numbers as functions of the training time, for a weight, a rate, a beta, a half-life or a probability.

They are named by `_target_` with `_partial_: true` in configs, and need no torch, so that a wrong argument is refused
at once. Where a number is a factor, of the learning rates for example, it starts at 1. The length of a change is
`kimg` thousands of real images or `turns`; without either it is the whole run.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Clock(NamedTuple):
    """The time of training: finished turns, thousands of real images shown to D, finished turns over the budget."""

    turn: int
    kimg: float
    progress: float


Schedule = Callable[[Clock], float]


def compute_number(number: float | Schedule, clock: Clock) -> float:
    """Return a number that is constant or scheduled at the time of the clock."""
    return number(clock) if callable(number) else number


def constant(clock: Clock, value: float = 1.0) -> float:  # noqa: ARG001
    """Return `value` at any time."""
    return value


def linear(
    clock: Clock, start: float = 1.0, end: float = 0.0, kimg: float | None = None, turns: int | None = None
) -> float:
    """Change linearly from `start` to `end`, then stay (Gulrajani et al. 2017 and Miyato et al. 2018 go to 0)."""
    return start + (end - start) * compute_fraction(clock, kimg, turns)


def cosine(
    clock: Clock, start: float = 1.0, end: float = 0.0, kimg: float | None = None, turns: int | None = None
) -> float:
    """Change along half a cosine from `start` to `end`, then stay (Loshchilov & Hutter 2017, eq. 5, one cycle)."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * compute_fraction(clock, kimg, turns)))


def exponential(
    clock: Clock, factor: float, start: float = 1.0, end: float = 0.0, kimg: float | None = None, turns: int = 1
) -> float:
    """Return `start` times `factor` for each `kimg` or `turns` that have passed as a whole, but not below `end`."""
    periods = math.floor(clock.kimg / kimg) if kimg is not None else clock.turn // turns
    return max(end, start * factor**periods)


def steps(clock: Clock, values: Sequence[float], kimg: Sequence[float]) -> float:
    """Return values[i] from kimg[i - 1] on; there is one value more than there are times, which rise."""
    if len(values) != len(kimg) + 1 or any(a >= b for a, b in pairwise(kimg)):
        raise ValueError(f"steps must have rising kimg and one value more than these, got {list(kimg)}, {list(values)}")
    return values[sum(clock.kimg >= time for time in kimg)]


def compute_fraction(clock: Clock, kimg: float | None, turns: int | None) -> float:
    """Return the part of a change that has passed: in [0, 1]."""
    if kimg is None and turns is None:
        return clock.progress
    done = clock.kimg / kimg if kimg is not None else clock.turn / turns  # type: ignore[operator]
    return min(done, 1.0)
