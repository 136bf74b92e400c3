"""Adversarial losses of D and G, one number per sample; the training step takes the mean.

D's functions: (real_logits [N, ...], fake_logits [N, ...]) -> [N, ...].
G's functions: (fake_logits, real_logits or None) -> [N, ...]; only relativistic ones use real_logits.

In the formulas D is the logit and s the sigmoid. In the code log s(D) = -softplus(-D) and
log(1 - s(D)) = -softplus(D), whose gradients are exact at any logit.
"""

import torch.nn.functional as F
from torch import Tensor

from gantry.errors import UserError
from gantry.losses.term import Requirements, requires


def minimax_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log s(D(x)) - log(1 - s(D(G(z)))) (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real_logits) + F.softplus(fake_logits)


def minimax_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:  # noqa: ARG001
    """log(1 - s(D(G(z)))) (Goodfellow et al. 2014, eq. 1): saturates where D rejects a fake confidently."""
    return -F.softplus(fake_logits)


def nonsaturating_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:  # noqa: ARG001
    """-log s(D(G(z))) (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake_logits)


def smoothed_d(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> Tensor:
    """Cross-entropy with the label `real_label` for real, 0 for fake (Salimans et al. 2016, section 3.4).

    The optimal logit of a real image is log(real_label / (1 - real_label)), not infinity. The label of fakes
    stays 0: with a larger one, the optimal D would reward fakes for being where fakes already are.
    """
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    return real + F.softplus(fake_logits)


def lsgan_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2 (Mao et al. 2017, eq. 9: labels a = 0 for fake, b = 1 for real)."""
    return 0.5 * (real_logits - 1).square() + 0.5 * fake_logits.square()


def lsgan_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:  # noqa: ARG001
    """(D(G(z)) - 1)^2 / 2 (Mao et al. 2017, eq. 9: c = 1)."""
    return 0.5 * (fake_logits - 1).square()


def hinge_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real_logits) + F.relu(1 + fake_logits)


def hinge_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:  # noqa: ARG001
    """-D(G(z)) (Lim & Ye 2017; Miyato et al. 2018, eq. 17)."""
    return -fake_logits


def wasserstein_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D(G(z)) - D(x): the negative distance of Arjovsky et al. 2017, eq. 2, for a 1-Lipschitz D."""
    return fake_logits - real_logits


def wasserstein_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:  # noqa: ARG001
    """-D(G(z)) (Arjovsky et al. 2017, Algorithm 1)."""
    return -fake_logits


def relativistic_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log s(D(x) - D(G(z))), real and fake in pairs (Jolicoeur-Martineau 2018, section 4.1)."""
    return F.softplus(fake_logits - real_logits)


def relativistic_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    """-log s(D(G(z)) - D(x)), real and fake in pairs (Jolicoeur-Martineau 2018, section 4.1)."""
    return relativistic_d(fake_logits, _require_real_logits(real_logits))


@requires(Requirements(couples_samples=True))
def relativistic_average_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log s(D(x) - mean D(G(z))) - log(1 - s(D(G(z)) - mean D(x))) (Jolicoeur-Martineau 2018, section 4.3).

    Both means couple the samples of a batch: pass the logits of the whole global batch.
    """
    return F.softplus(fake_logits.mean(0) - real_logits) + F.softplus(fake_logits - real_logits.mean(0))


@requires(Requirements(couples_samples=True))
def relativistic_average_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    """Return the loss of D with real and fake exchanged (Jolicoeur-Martineau 2018, section 4.3)."""
    return relativistic_average_d(fake_logits, _require_real_logits(real_logits))


def _require_real_logits(real_logits: Tensor | None) -> Tensor:
    if real_logits is None:
        raise UserError("loss.relativistic must be true for a relativistic loss of G, got false")
    return real_logits
