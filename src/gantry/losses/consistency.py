"""Terms on how the outputs of a net follow a change of its input: update -> [N].

`transform` is an augmentation x [N, *shape] -> [N, *shape] that does not change what an image shows. D judges both
images without the augmentation of the run.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gantry import rng
from gantry.distributed import collectives
from gantry.losses.logits import average_axes
from gantry.losses.term import Requirements, requires
from gantry.losses.update import Update

Transform = Callable[[Tensor], Tensor]


@requires(Requirements("D"))
def consistency(update: Update, transform: Transform) -> Tensor:
    """(D(T(x)) - D(x))^2 at real images (CR, Zhang et al. 2020, eq. 3, on the last layer): -> [N]."""
    return _squared_change(update, update.x_real, transform(update.x_real), update.c)


@requires(Requirements("D"))
def balanced_consistency(update: Update, transform: Transform, fake_weight: float = 1.0) -> Tensor:
    """Return `consistency` plus `fake_weight` times that of fakes (bCR, Zhao et al. 2021, Algorithm 1): -> [N]."""
    fake = _squared_change(update, update.x_fake, transform(update.x_fake), update.c_fake)
    return consistency(update, transform) + fake_weight * fake


@requires(Requirements("D"))
def latent_consistency(update: Update, sigma: float) -> Tensor:
    """(D(G(z)) - D(G(z + e)))^2, e ~ N(0, sigma^2) (zCR, Zhao et al. 2021, Algorithm 2, the term of D): -> [N]."""
    with torch.no_grad():
        neighbours = _generate_neighbours(update, sigma)
    return _squared_change(update, update.x_fake, neighbours, update.c_fake)


@requires(Requirements("G"))
def latent_diversity(update: Update, sigma: float) -> Tensor:
    """Return -|G(z) - G(z + e)|^2 (zCR, Zhao et al. 2021, Algorithm 2, the term of G), a mean over pixels: -> [M]."""
    return -(update.x_fake - _generate_neighbours(update, sigma)).square().flatten(1).mean(1)


@requires(Requirements("G", couples_samples=True, compares_fakes=True))
def mode_seeking(update: Update, epsilon: float = 1e-5) -> Tensor:
    """1 / (mean |G(z1) - G(z2)| / mean |z1 - z2| + epsilon) (MSGAN, Mao et al. 2019, eq. 3): -> [1].

    z1 and z2 are neighbours in G's batch, of one class; the means are over numbers and over the global batch.
    """
    images, latents = (
        collectives.all_gather((values[::2] - values[1::2]).abs().flatten(1).mean(1)).mean()
        for values in (update.x_fake, update.z[:, : update.G.z_dim])
    )
    return (1 / (images / latents + epsilon)).view(1)


def _generate_neighbours(update: Update, sigma: float) -> Tensor:
    """Return the fakes of latents that differ by N(0, sigma^2), but for the noise behind the first z_dim numbers."""
    change = sigma * rng.randn(len(update.z), update.G.z_dim, device=update.z.device)
    z = update.z + torch.nn.functional.pad(change, (0, update.z.shape[1] - change.shape[1]))
    images: Tensor = update.G(z, update.c_fake).to(update.x_fake.dtype)
    return images


def _squared_change(update: Update, x: Tensor, x_changed: Tensor, c: Tensor) -> Tensor:
    """Return (D(x) - D(x_changed))^2, a mean over further axes of the logits: -> [N]."""
    change = update.judge_plain(x, c).logits - update.judge_plain(x_changed, c).logits
    return average_axes(change.square())
