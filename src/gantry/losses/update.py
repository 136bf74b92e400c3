"""One update of D or G, as the terms of a loss see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from gantry.nets.contract import Discriminator, Generator, Judgement

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Update:
    """Images, classes, latents and D's judgements of one update, or of one part of its batch.

    `x_real` and `x_fake` [N, *shape] in [-1, 1] are of the classes `c` int64 [N]. x_fake = G(`z`, c), z [N, z_dim], has
    a gradient in G's update alone. `real` and `fake` are D's judgements of both, behind the augmentation, which the
    loss uses too; `real` is None in an update of G whose loss is not relativistic. `critic(x) -> logits [N, ...]` is D
    for the same classes, behind a further draw of the augmentation.
    """

    x_real: Tensor
    x_fake: Tensor
    c: Tensor
    z: Tensor
    real: Judgement | None
    fake: Judgement
    critic: Callable[[Tensor], Tensor]
    D: Discriminator
    G: Generator


def differentiates(*inputs: str) -> Callable[[Function], Function]:
    """Mark a penalty that differentiates D's judgements by `x_real` or `x_fake`, to which they have a graph then."""

    def mark(penalty: Function) -> Function:
        penalty.differentiates = inputs  # type: ignore[attr-defined]
        return penalty

    return mark
