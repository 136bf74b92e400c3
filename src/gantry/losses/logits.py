"""Terms on D's logits and class logits: update -> [N]. Logits with further axes count as the mean over these."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry.errors import UserError
from gantry.losses.term import Requirements, requires
from gantry.losses.update import Update
from gantry.nets.contract import Judgement


class LeCam(nn.Module):
    """max(0, D(x) - a_F)^2 + max(0, a_R - D(G(z)))^2 (Tseng et al. 2021, eq. 4 and section 3.2): update -> [N].

    a_R and a_F are moving averages of D's mean logits of real images and fakes, with `decay` per update; the term
    begins after `start` updates, when they are settled. The paper writes no maximum, its code has it: `one_sided`.
    """

    requirements = Requirements("D")
    mean_real: Tensor
    mean_fake: Tensor
    updates: Tensor

    def __init__(self, decay: float = 0.99, start: int = 1000, one_sided: bool = True) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"loss.d_terms.lecam.penalty.decay must be in [0, 1), got {decay}")
        self.decay, self.start, self.one_sided = decay, start, one_sided
        for name in ("mean_real", "mean_fake"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, update: Update) -> Tensor:
        assert update.real is not None
        real = average_axes(update.real.logits) - self.mean_fake
        fake = self.mean_real - average_axes(update.fake.logits)
        if self.one_sided:
            real, fake = real.relu(), fake.relu()
        return (real.square() + fake.square()) * (self.updates >= self.start)

    def observe(self, scalars: Mapping[str, Tensor]) -> None:
        """Move the averages towards the logits of the update; the first one sets them."""
        step = torch.where(self.updates == 0, 1.0, 1 - self.decay)
        self.mean_real.add_(step * (scalars["logits/real"] - self.mean_real))
        self.mean_fake.add_(step * (scalars["logits/fake"] - self.mean_fake))
        self.updates.add_(1)


@requires(Requirements("D"))
def centring(update: Update) -> Tensor:
    """(D(x) + D(G(z)))^2, which holds the level of the logits that a relativistic loss leaves free: -> [N].

    As in the code of Adversarial Flow Models (Lin et al. 2025), where its weight is 0.01.
    """
    assert update.real is not None
    return (average_axes(update.real.logits) + average_axes(update.fake.logits)).square()


@requires(Requirements("D"))
def classify_real(update: Update) -> Tensor:
    """Return -log P(c | x) by D's class logits at real images (ACGAN, Odena et al. 2017, eq. 3, first part): -> [N]."""
    assert update.real is not None
    return F.cross_entropy(_require_class_logits(update.real, "d_terms"), update.c, reduction="none")


@requires(Requirements("D"))
def classify(update: Update) -> Tensor:
    """Return -log P(c | x) at real images and at fakes (ACGAN, Odena et al. 2017, eq. 3, the term of D): -> [N]."""
    fake = F.cross_entropy(_require_class_logits(update.fake, "d_terms"), update.c_fake, reduction="none")
    return classify_real(update) + fake


@requires(Requirements("G"))
def classify_fake(update: Update) -> Tensor:
    """Return -log P(c | G(z, c)) by D's class logits (ACGAN, Odena et al. 2017, eq. 3, the term of G): -> [M]."""
    return F.cross_entropy(_require_class_logits(update.fake, "g_terms"), update.c_fake, reduction="none")


def average_axes(logits: Tensor) -> Tensor:
    """Return the mean over all axes but the first: [N, ...] -> [N]."""
    return logits.view(len(logits), -1).mean(1)


def _require_class_logits(judgement: Judgement, group: str) -> Tensor:
    if judgement.class_logits is None:
        heads = "model.D.head=classifier or projection_classifier"
        raise UserError(f"loss.{group} must be without a classification unless D has class logits ({heads}), got none")
    return judgement.class_logits
