"""One update of D or G, as the terms of a loss see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from torch import Tensor

from gantry.nets.contract import Discriminator, Generator, Judgement

Function = TypeVar("Function", bound=Callable[..., object])


class Batch(NamedTuple):
    """Real images x [N, *shape] in [-1, 1] of classes c int64 [N]; latents z [M, z_dim] of fakes of classes c_fake [M].

    M = N but in an update of G with loss.g_batch.
    """

    x: Tensor
    c: Tensor
    z: Tensor
    c_fake: Tensor


@dataclass(frozen=True)
class Update:
    """Images, classes, latents and D's judgements of one update, or of one part of its batch.

    `x_real` [N, *shape] in [-1, 1] are of the classes `c` int64 [N], and `x_fake` [M, *shape], M fakes, of the classes
    `c_fake`: x_fake = G(`z`, c_fake), z [M, z_dim], has a gradient in G's update alone. M = N but in an update of G
    with loss.g_batch. `real` and `fake` are D's judgements of both, behind the augmentation, which the loss uses too;
    `real` is None in an update of G whose loss is not relativistic. `critic(x) -> logits [N, ...]` is D for the classes
    c, behind a further draw of the augmentation; `D` and `G` are the nets themselves.

    A penalty puts numbers to be logged, means over the global batch, into `scalars`; a penalty with state reads them
    back, as means over all parts of the batch, in its method `observe`.
    """

    x_real: Tensor
    x_fake: Tensor
    c: Tensor
    c_fake: Tensor
    z: Tensor
    real: Judgement | None
    fake: Judgement
    critic: Callable[[Tensor], Tensor]
    D: Discriminator
    G: Generator
    scalars: dict[str, Tensor] = field(default_factory=dict)


def differentiates(*inputs: str) -> Callable[[Function], Function]:
    """Mark a penalty that differentiates D's judgements by `x_real` or `x_fake`, to which they have a graph then."""

    def mark(penalty: Function) -> Function:
        penalty.differentiates = inputs  # type: ignore[attr-defined]
        return penalty

    return mark


def couples_samples(penalty: Function) -> Function:
    """Mark a penalty of which a number depends on several samples of the global batch: it takes no part of a batch."""
    penalty.couples_samples = True  # type: ignore[attr-defined]
    return penalty


def pairs_classes(penalty: Function) -> Function:
    """Mark a penalty that needs a real image and its fake to be of one class."""
    penalty.pairs_classes = True  # type: ignore[attr-defined]
    return penalty
