"""An update as penalties see it, of any critic."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gantry.losses.update import Update
from gantry.nets.contract import Judgement

Critic = Callable[[Tensor], Tensor]


def make_update(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Update:
    """Return D's update on these images, from whose judgements a penalty can differentiate back to them."""
    x_real, x_fake = (x.detach().requires_grad_() for x in (x_real, x_fake))
    real, fake = Judgement(critic(x_real)), Judgement(critic(x_fake))
    absent: Any = None
    inputs = {"c": absent, "c_fake": absent, "z": absent}
    return Update(x_real, x_fake, **inputs, real=real, fake=fake, critic=critic, D=absent, G=absent)


def penalise(penalty: Callable[[Update], Tensor], critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """Return the penalty [N] of a critic on these images."""
    return penalty(make_update(critic, x_real, x_fake))
