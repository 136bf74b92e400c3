"""An update as penalties see it, of any critic."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gantry.losses.update import Update
from gantry.nets.contract import Judgement

Critic = Callable[[Tensor], Tensor | Judgement]


def read_logits(output: Tensor | Judgement) -> Tensor:
    """Return the logits of what a critic returns, in their own dtype."""
    return output if isinstance(output, Tensor) else output.logits


def make_update(critic: Critic, x_real: Tensor, x_fake: Tensor, **changes: Any) -> Update:
    """Return D's update on these images, from whose judgements a penalty can differentiate back to them.

    Without a change they are of class 0, and the latents are zeros of length 2.
    """
    x_real, x_fake = (x.detach().requires_grad_() for x in (x_real, x_fake))

    def judge(x: Tensor, c: Tensor) -> Judgement:
        return Judgement(read_logits(critic(x)))

    facts: dict[str, Any] = {
        "x_real": x_real,
        "x_fake": x_fake,
        "c": torch.zeros(len(x_real), dtype=torch.int64),
        "c_fake": torch.zeros(len(x_fake), dtype=torch.int64),
        "z": torch.zeros(len(x_fake), 2),
        "real": Judgement(read_logits(critic(x_real))),
        "fake": Judgement(read_logits(critic(x_fake))),
        "judge": judge,
        "D": judge,
        "G": None,
    }
    return Update(**(facts | changes))


def penalise(penalty: Callable[[Update], Tensor], critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """Return the penalty [N] of a critic on these images."""
    return penalty(make_update(critic, x_real, x_fake))
