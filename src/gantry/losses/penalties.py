"""Penalties on the critic's gradient with respect to its input: update -> [N], one number per sample.

The critic must treat samples independently (no BatchNorm): the sum of all logits is differentiated once, so the
dependence of a logit on another image would be attributed to the wrong sample.

No penalty contains a factor: the one half that papers put before R1 and R2 is in the term's weight, gamma / 2.
"""

import torch
from torch import Tensor

from gantry import rng
from gantry.distributed import collectives
from gantry.losses.term import Requirements, requires
from gantry.losses.update import Update


def input_gradient(logits: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of each logit [N, ...] at its own image, itself differentiable: -> [N, prod(shape)]."""
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(1)


def gradient_norm(update: Update, x: Tensor) -> Tensor:
    """Return the norm of the critic's gradient at images x [N, *shape] that the loss does not judge: -> [N]."""
    x = x.detach().requires_grad_()
    return input_gradient(update.critic(x), x).norm(dim=1)


def random_interpolate(a: Tensor, b: Tensor) -> Tensor:
    """Draw a uniform point on the line from each a to its b: [N, *shape] twice -> [N, *shape]."""
    epsilon = rng.rand(len(a), *[1] * (a.dim() - 1), device=a.device)
    return torch.lerp(a, b, epsilon.to(a.dtype))


@requires(Requirements("D", pairs_classes=True))
def gradient_penalty(update: Update) -> Tensor:
    """(|gradient| - 1)^2 between real and fake images (Gulrajani et al. 2017, eq. 3): -> [N]."""
    return (gradient_norm(update, random_interpolate(update.x_real, update.x_fake)) - 1).square()


@requires(Requirements("D", pairs_classes=True))
def zero_centred_penalty(update: Update) -> Tensor:
    """|gradient|^2 between real and fake images (Thanh-Tung et al. 2019, eq. 8): -> [N]."""
    return gradient_norm(update, random_interpolate(update.x_real, update.x_fake)).square()


@requires(Requirements("D", pairs_classes=True))
def lipschitz_penalty(update: Update) -> Tensor:
    """max(0, |gradient| - 1)^2 between real and fake images (Petzka et al. 2018, eq. 8): -> [N]."""
    return (gradient_norm(update, random_interpolate(update.x_real, update.x_fake)) - 1).relu().square()


@requires(Requirements("D", couples_samples=True))
def dragan(update: Update) -> Tensor:
    """(|gradient| - 1)^2 around real images (DRAGAN, Kodali et al. 2017): -> [N].

    As in the authors' code: between each image x and x + 0.5 std U[0, 1), with the std of the whole batch.
    """
    x = update.x_real
    x_noisy = x + 0.5 * _global_std(x) * rng.rand(*x.shape, device=x.device).to(x.dtype)
    return (gradient_norm(update, random_interpolate(x, x_noisy)) - 1).square()


@requires(Requirements("D", differentiates=("x_real",)))
def r1(update: Update) -> Tensor:
    """Return the squared gradient norm at real images (Mescheder et al. 2018, eq. 9): -> [N].

    The gradient is that of the loss's own judgement by the image before the augmentation, as in the code of Karras et
    al. 2020 and Huang et al. 2024: no further pass of D, and no further draw of the augmentation.
    """
    assert update.real is not None
    return input_gradient(update.real.logits, update.x_real).square().sum(1)


@requires(Requirements("D", differentiates=("x_fake",)))
def r2(update: Update) -> Tensor:
    """Return the squared gradient norm at fake images (Mescheder et al. 2018, eq. 10), like `r1`: -> [N]."""
    return input_gradient(update.fake.logits, update.x_fake).square().sum(1)


@requires(Requirements("D"))
def approximate_r1(update: Update, epsilon: float = 0.01) -> Tensor:
    """((D(x + epsilon n) - D(x)) / epsilon)^2 at real images x, n standard normal (Lin et al. 2025, APT): -> [N].

    Its mean over n is `r1` up to O(epsilon^2), without a second backward pass. D judges the images without the
    augmentation, since the difference of two draws of it would be far larger.
    """
    return _squared_difference(update, update.x_real, update.c, epsilon)


@requires(Requirements("D"))
def approximate_r2(update: Update, epsilon: float = 0.01) -> Tensor:
    """Return `approximate_r1` at fake images: -> [N]."""
    return _squared_difference(update, update.x_fake, update.c_fake, epsilon)


def _squared_difference(update: Update, x: Tensor, c: Tensor, epsilon: float) -> Tensor:
    noise = rng.randn(len(x), *x.shape[1:], device=x.device).to(x.dtype)
    difference = update.judge_plain(x + epsilon * noise, c).logits - update.judge_plain(x, c).logits
    return (difference / epsilon).square().view(len(x), -1).sum(1)


def _global_std(x: Tensor) -> Tensor:
    """Return the standard deviation of all numbers of the global batch: -> []."""
    x = x.detach().float()
    count, total, squares = collectives.all_reduce_sum_(
        torch.stack([x.new_full((), x.numel()), x.sum(), x.square().sum()])
    )
    return (squares / count - (total / count).square()).clamp(min=0).sqrt()
