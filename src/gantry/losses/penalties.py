"""Penalties on the critic's gradient with respect to its input: (critic, x_real, x_fake) -> [N], one number per sample.

The critic must treat samples independently (no BatchNorm): the sum of all logits is differentiated once, so the
dependence of a logit on another image would be attributed to the wrong sample.

No penalty contains a factor: the one half that papers put before R1 and R2 is in the term's weight, gamma / 2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gantry import rng
from gantry.distributed import collectives

Critic = Callable[[Tensor], Tensor]


def input_gradient(critic: Critic, x: Tensor) -> Tensor:
    """Return the gradient of each logit at its own image, itself differentiable: x [N, *shape] -> [N, prod(shape)]."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def random_interpolate(a: Tensor, b: Tensor) -> Tensor:
    """Draw a uniform point on the line from each a to its b: [N, *shape] twice -> [N, *shape]."""
    epsilon = rng.rand(len(a), *[1] * (a.dim() - 1), device=a.device)
    return torch.lerp(a, b, epsilon.to(a.dtype))


def gradient_penalty(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """(|gradient| - 1)^2 between real and fake images (Gulrajani et al. 2017, eq. 3): -> [N]."""
    return (input_gradient(critic, random_interpolate(x_real, x_fake)).norm(dim=1) - 1).square()


def lipschitz_penalty(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """max(0, |gradient| - 1)^2 between real and fake images (Petzka et al. 2018, eq. 8): -> [N]."""
    return (input_gradient(critic, random_interpolate(x_real, x_fake)).norm(dim=1) - 1).relu().square()


def dragan(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:  # noqa: ARG001
    """(|gradient| - 1)^2 around real images (DRAGAN, Kodali et al. 2017): -> [N].

    As in the authors' code: between each image x and x + 0.5 std U[0, 1), with the std of the whole batch.
    """
    x_noisy = x_real + 0.5 * _global_std(x_real) * rng.rand(*x_real.shape, device=x_real.device).to(x_real.dtype)
    return (input_gradient(critic, random_interpolate(x_real, x_noisy)).norm(dim=1) - 1).square()


def r1(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:  # noqa: ARG001
    """Return the squared gradient norm at real images (Mescheder et al. 2018, eq. 9): -> [N]."""
    return input_gradient(critic, x_real).square().sum(1)


def r2(critic: Critic, x_real: Tensor, x_fake: Tensor) -> Tensor:  # noqa: ARG001
    """Return the squared gradient norm at fake images (Mescheder et al. 2018, eq. 10): -> [N]."""
    return input_gradient(critic, x_fake).square().sum(1)


def _global_std(x: Tensor) -> Tensor:
    """Return the standard deviation of all numbers of the global batch: -> []."""
    x = x.detach().float()
    count, total, squares = collectives.all_reduce_sum_(
        torch.stack([x.new_full((), x.numel()), x.sum(), x.square().sum()])
    )
    return (squares / count - (total / count).square()).clamp(min=0).sqrt()
