"""One update of D or G, as the terms of a loss see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from gantry.nets.contract import Discriminator, Generator, Judgement, judge


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
    `real` is None in an update of G whose loss is not relativistic. `judge(x, c)` is D's judgement behind a further
    draw of the augmentation; `D` and `G` are the nets themselves. `is_augmented` is False without an augmentation.

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
    judge: Callable[[Tensor, Tensor], Judgement]
    D: Discriminator
    G: Generator
    is_augmented: bool = False
    scalars: dict[str, Tensor] = field(default_factory=dict)

    def critic(self, x: Tensor) -> Tensor:
        """Return the logits of images x of the classes c, behind a further draw of the augmentation: -> [N, ...]."""
        return self.judge(x, self.c).logits

    def judge_plain(self, x: Tensor, c: Tensor) -> Judgement:
        """Return D's judgement of images without the augmentation; that of the loss where it is the same."""
        for images, judgement in ((self.x_real, self.real), (self.x_fake, self.fake)):
            if x is images and judgement is not None and not self.is_augmented:
                return judgement
        return judge(self.D(x, c), x)
