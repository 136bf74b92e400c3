"""Schedules: the factor of an initial value at a progress (finished turns over the budget) in [0, 1].

They are named by `_target_` in configs; without torch, so that a wrong argument is refused at once.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:  # noqa: ARG001
    """Return 1."""
    return 1.0


def linear(progress: float, end: float = 0.0) -> float:
    """Fall linearly from 1 to `end` (Gulrajani et al. 2017 and Miyato et al. 2018 go to 0)."""
    return 1.0 + (end - 1.0) * progress


def cosine(progress: float, end: float = 0.0) -> float:
    """Fall along half a cosine from 1 to `end` (Loshchilov & Hutter 2017, eq. 5, one cycle)."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
