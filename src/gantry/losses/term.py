"""Terms of a loss: penalties with their weights, and what a penalty requires of the update that it is part of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from torch import Tensor

from gantry.losses.update import Update
from gantry.schedules import Clock, Schedule, compute_number

Penalty = Callable[[Update], Tensor]
Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Requirements:
    """The requirements of a penalty; the default is none.

    It is a term of one `net` alone; it `differentiates` D's judgements by "x_real" or "x_fake", to which they have a
    graph then; it `couples_samples`, so that a batch cannot be computed in parts; it `pairs_classes`: a real image and
    its fake must be of one class; it `compares_fakes` that are neighbours in G's batch, two of one class.
    """

    net: Literal["G", "D"] | None = None
    differentiates: tuple[str, ...] = ()
    couples_samples: bool = False
    pairs_classes: bool = False
    compares_fakes: bool = False


def requires(requirements: Requirements) -> Callable[[Function], Function]:
    """Attach its requirements to a penalty; a class of penalties has the attribute `requirements`."""

    def attach(penalty: Function) -> Function:
        penalty.requirements = requirements  # type: ignore[attr-defined]
        return penalty

    return attach


def find_requirements(function: Callable[..., object]) -> Requirements:
    """Return the requirements of a penalty or an adversarial loss, also of a partial one."""
    function = function.func if isinstance(function, partial) else function
    requirements: Requirements = getattr(function, "requirements", Requirements())
    return requirements


@dataclass(frozen=True)
class Term:
    """A penalty with its weight, applied at every update or lazily at each `every`-th (Karras et al. 2020, app. B).

    The weight is a number or a schedule. A penalty with state is a torch.nn.Module, whose buffers are saved, see
    `gantry.training.stateful_parts`.
    """

    penalty: Penalty
    weight: float | Schedule = 1.0
    every: int = 1

    def is_due(self, update: int) -> bool:
        """Return True if update number `update` of the net, counted from 0, includes this term."""
        return update % self.every == 0

    @property
    def requirements(self) -> Requirements:
        """Return what the penalty requires."""
        return find_requirements(self.penalty)

    def compute_scale(self, clock: Clock) -> float:
        """Return the factor of the penalty when it is due: the weight times `every`, to replace the skipped updates."""
        return compute_number(self.weight, clock) * self.every
