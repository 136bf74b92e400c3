"""Every loss and its gradients, compared with the papers' formulas in float64 with logarithms."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gantry.losses import adversarial as adv

LOGITS = [-30.0, -2.5, -1.0, 0.0, 0.7, 1.0, 30.0]


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def log_s(x: float) -> float:
    return -math.log1p(math.exp(-x))


# name: (loss, value, slope by the real logit, slope by the fake logit) at a pair of logits (r, f)
D_LOSSES = {
    "minimax": (
        adv.minimax_d,
        lambda r, f: -log_s(r) - log_s(-f),
        lambda r, f: -s(-r),
        lambda r, f: s(f),
    ),
    "smoothed": (
        partial(adv.smoothed_d, real_label=0.9),
        lambda r, f: -0.9 * log_s(r) - 0.1 * log_s(-r) - log_s(-f),
        lambda r, f: -0.9 * s(-r) + 0.1 * s(r),
        lambda r, f: s(f),
    ),
    "lsgan": (
        adv.lsgan_d,
        lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2,
        lambda r, f: r - 1,
        lambda r, f: f,
    ),
    "hinge": (
        adv.hinge_d,
        lambda r, f: max(0, 1 - r) + max(0, 1 + f),
        lambda r, f: -float(r < 1),
        lambda r, f: float(f > -1),
    ),
    "wasserstein": (adv.wasserstein_d, lambda r, f: f - r, lambda r, f: -1.0, lambda r, f: 1.0),
    "relativistic": (
        adv.relativistic_d,
        lambda r, f: -log_s(r - f),
        lambda r, f: -s(f - r),
        lambda r, f: s(f - r),
    ),
}
# name: (loss, relativistic or not, value, slope by the real logit, slope by the fake logit)
G_LOSSES = {
    "minimax": (adv.minimax_g, False, lambda r, f: log_s(-f), None, lambda r, f: -s(f)),
    "nonsaturating": (adv.nonsaturating_g, False, lambda r, f: -log_s(f), None, lambda r, f: -s(-f)),
    "lsgan": (adv.lsgan_g, False, lambda r, f: (f - 1) ** 2 / 2, None, lambda r, f: f - 1),
    "hinge": (adv.hinge_g, False, lambda r, f: -f, None, lambda r, f: -1.0),
    "wasserstein": (adv.wasserstein_g, False, lambda r, f: -f, None, lambda r, f: -1.0),
    "relativistic": (
        adv.relativistic_g,
        True,
        lambda r, f: -log_s(f - r),
        lambda r, f: s(r - f),
        lambda r, f: -s(r - f),
    ),
}


def make_logit_pairs() -> tuple[Tensor, Tensor]:
    """Return all pairs of the logits in float32, as two leaf tensors."""
    grid = torch.cartesian_prod(torch.tensor(LOGITS), torch.tensor(LOGITS))
    return grid[:, 0].clone().requires_grad_(), grid[:, 1].clone().requires_grad_()


def evaluate_pairs(formula: Callable[[float, float], float]) -> Tensor:
    return torch.tensor([formula(r, f) for r in LOGITS for f in LOGITS])


assert_close_relative = partial(assert_close, rtol=2e-6, atol=0.0)  # relative: 1e-13 at logit 30 must be right as well


@pytest.mark.parametrize("name", D_LOSSES)
def test_d_loss_equals_the_formula(name: str) -> None:
    loss, value, real_slope, fake_slope = D_LOSSES[name]
    r, f = make_logit_pairs()
    out = loss(r, f)
    out.sum().backward()
    assert_close_relative(out, evaluate_pairs(value), atol=1e-12)
    assert_close_relative(r.grad, evaluate_pairs(real_slope))
    assert_close_relative(f.grad, evaluate_pairs(fake_slope))


@pytest.mark.parametrize("name", G_LOSSES)
def test_g_loss_equals_the_formula(name: str) -> None:
    loss, relativistic, value, real_slope, fake_slope = G_LOSSES[name]
    r, f = make_logit_pairs()
    out = loss(f, r if relativistic else None)
    out.sum().backward()
    assert_close_relative(out, evaluate_pairs(value), atol=1e-12)
    assert_close_relative(f.grad, evaluate_pairs(fake_slope))
    if relativistic:
        assert_close_relative(r.grad, evaluate_pairs(real_slope))


@pytest.mark.parametrize("n", [1, 5])
def test_relativistic_average_equals_the_formula(n: int) -> None:
    torch.manual_seed(0)
    r, f = 3 * torch.randn(n), 3 * torch.randn(n)
    r_mean, f_mean = r.mean().item(), f.mean().item()
    d_expected = [-log_s(a - f_mean) - log_s(r_mean - b) for a, b in zip(r.tolist(), f.tolist())]
    g_expected = [-log_s(b - r_mean) - log_s(f_mean - a) for a, b in zip(r.tolist(), f.tolist())]
    assert_close(adv.relativistic_average_d(r, f), torch.tensor(d_expected))
    assert_close(adv.relativistic_average_g(f, r), torch.tensor(g_expected))


@pytest.mark.parametrize("sign", [-1, 1])
def test_relativistic_average_has_exact_gradients_at_large_logits(sign: int) -> None:
    """With all real logits 30 above, or below, all fake ones the slopes are twice those of the paired loss."""
    r = torch.full((4,), 15.0 * sign, requires_grad=True)
    f = torch.full((4,), -15.0 * sign, requires_grad=True)
    adv.relativistic_average_d(r, f).sum().backward()
    assert_close_relative(r.grad, torch.full((4,), -2 * s(-30.0 * sign)))
    assert_close_relative(f.grad, torch.full((4,), 2 * s(-30.0 * sign)))


COUPLING_CASES = {name: loss[0] for name, loss in D_LOSSES.items()} | {"average": adv.relativistic_average_d}


@pytest.mark.parametrize("name", COUPLING_CASES)
def test_only_the_average_couples_samples(name: str) -> None:
    torch.manual_seed(0)
    r, f = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    gradients = torch.autograd.grad(COUPLING_CASES[name](r, f)[0], [r, f])
    others = torch.stack(gradients)[:, 1:]
    assert bool((others != 0).all()) if name == "average" else not others.any()


def test_smoothed_loss_has_its_optimum_at_the_smoothed_label() -> None:
    """With densities p of data and q of fakes the optimal D has s(D) = 0.9 p / (p + q) (Salimans et al. 2016)."""
    p, q = 0.7, 0.2
    best = 0.9 * p / (p + q)
    logit = torch.tensor(math.log(best / (1 - best)), requires_grad=True)
    (p * adv.smoothed_d(logit, torch.tensor(-30.0), 0.9) + q * adv.minimax_d(torch.tensor(30.0), logit)).backward()
    assert_close(logit.grad, torch.tensor(0.0), atol=1e-7, rtol=0)


def test_smoothed_loss_with_label_one_equals_minimax() -> None:
    r, f = (logits.detach() for logits in make_logit_pairs())
    assert_close(adv.smoothed_d(r, f, 1.0), adv.minimax_d(r, f))


def test_minimax_saturates_and_nonsaturating_does_not() -> None:
    f = torch.tensor([-30.0], requires_grad=True)
    (saturating,) = torch.autograd.grad(adv.minimax_g(f, None).sum(), f)
    (nonsaturating,) = torch.autograd.grad(adv.nonsaturating_g(f, None).sum(), f)
    assert saturating.abs() < 1e-12
    assert_close(nonsaturating, torch.tensor([-1.0]))


@pytest.mark.parametrize("loss", [adv.relativistic_g, adv.relativistic_average_g])
def test_relativistic_g_requires_real_logits(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"^loss.relativistic must be true for a relativistic loss of G, got false$"):
        loss(torch.zeros(2), None)
