"""Learning-rate schedules: factor of the initial rate at a progress (turns done over turns planned) in [0, 1]."""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:  # noqa: ARG001
    """1 throughout."""
    return 1.0


def linear(progress: float, end: float = 0.0) -> float:
    """From 1 in a straight line to `end` (Gulrajani et al. 2017 and Miyato et al. 2018 go to 0)."""
    return 1.0 + (end - 1.0) * progress


def cosine(progress: float, end: float = 0.0) -> float:
    """From 1 along half a cosine to `end` (Loshchilov & Hutter 2017, eq. 5, one cycle)."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
