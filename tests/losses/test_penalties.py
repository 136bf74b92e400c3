"""Penalties in closed form: <w, x> has the gradient w everywhere, |x|^2 / 2 has the gradient x."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from gantry import rng
from gantry.distributed import collectives
from gantry.losses import penalties
from gantry.losses.term import Penalty
from updates import penalise

Shape = tuple[int, ...]
ALL = [
    penalties.gradient_penalty,
    penalties.lipschitz_penalty,
    penalties.dragan,
    penalties.r1,
    penalties.r2,
]
FORMULAS: dict[Callable[..., Tensor], Callable[[float], float]] = {
    penalties.gradient_penalty: lambda w: (w - 1) ** 2,
    penalties.lipschitz_penalty: lambda w: max(0.0, w - 1) ** 2,
    penalties.dragan: lambda w: (w - 1) ** 2,
    penalties.r1: lambda w: w**2,
    penalties.r2: lambda w: w**2,
}
every_penalty = pytest.mark.parametrize("penalty", ALL)
every_shape = pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])


def make_images(n: int, shape: Shape) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    rng.seed_turn(0, 0)
    return torch.rand(n, *shape) * 2 - 1, torch.rand(n, *shape) * 2 - 1


def half_squared_norm(x: Tensor) -> Tensor:
    """Return |x|^2 / 2: a critic whose gradient at x is x."""
    return x.flatten(1).square().sum(1) / 2


class RecordingCritic:
    """The critic `half_squared_norm`; it records its last input."""

    def __call__(self, x: Tensor) -> Tensor:
        self.x = x.detach()
        return half_squared_norm(x)


@every_penalty
@every_shape
@pytest.mark.parametrize("n", [1, 4, 64])
@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_linear_critic_has_the_closed_form(penalty: Callable[..., Tensor], shape: Shape, n: int, norm: float) -> None:
    x, x_fake = make_images(n, shape)
    w = torch.randn(shape)
    w *= norm / w.norm()
    out = penalise(penalty, lambda x: (w * x).flatten(1).sum(1), x, x_fake)
    assert_close(out, torch.full((n,), FORMULAS[penalty](norm)), rtol=1e-5, atol=1e-6)


@every_penalty
@every_shape
def test_penalty_is_computed_per_sample(penalty: Callable[..., Tensor], shape: Shape) -> None:
    x, x_fake = make_images(5, shape)
    critic = RecordingCritic()
    out = penalise(penalty, critic, x, x_fake)
    points = {penalties.r1: x, penalties.r2: x_fake}.get(penalty, critic.x)
    own = [FORMULAS[penalty](point.norm().item()) for point in points]
    assert_close(out, torch.tensor(own), rtol=1e-5, atol=1e-6)
    assert penalty is penalties.lipschitz_penalty or out.unique().numel() == 5


def test_r1_uses_real_and_r2_uses_fake_images() -> None:
    x, x_fake = make_images(4, (3, 4, 4))
    assert_close(penalise(penalties.r1, half_squared_norm, x, x_fake), x.square().sum((1, 2, 3)))
    assert_close(penalise(penalties.r2, half_squared_norm, x, x_fake), x_fake.square().sum((1, 2, 3)))


@every_shape
def test_input_gradient_is_flat_and_per_sample(shape: Shape) -> None:
    x, _ = make_images(4, shape)
    x.requires_grad_()
    assert_close(penalties.input_gradient(half_squared_norm(x), x), x.detach().flatten(1))


@pytest.mark.parametrize("penalty", [penalties.gradient_penalty, penalties.lipschitz_penalty])
def test_penalty_uses_one_point_between_each_real_and_fake_image(penalty: Callable[..., Tensor]) -> None:
    x, x_fake = make_images(64, (3, 4, 4))
    critic = RecordingCritic()
    penalise(penalty, critic, x, x_fake)
    epsilon = ((critic.x - x) / (x_fake - x)).flatten(1)  # the same for all pixels of an image
    assert_close(epsilon, epsilon[:, :1].expand_as(epsilon), rtol=0, atol=1e-3)
    epsilon = epsilon.median(1).values
    assert epsilon.unique().numel() == 64
    assert 0 <= epsilon.min() < 0.1
    assert 0.9 < epsilon.max() <= 1


def test_dragan_adds_noise_of_half_a_standard_deviation() -> None:
    x, x_fake = make_images(64, (3, 4, 4))
    critic = RecordingCritic()
    penalise(penalties.dragan, critic, x, x_fake)
    shift = (critic.x - x) / (0.5 * x.std(correction=0))
    assert shift.min() >= -1e-6
    assert shift.max() <= 1
    farthest = shift.amax((1, 2, 3))  # epsilon times the largest of 48 numbers in [0, 1)
    assert farthest.unique().numel() == 64
    assert farthest.max() > 0.8
    assert farthest.min() < 0.2
    assert shift.unique().numel() > 64 * 40  # every pixel has its own number


def test_global_std_equals_the_std_of_the_batch() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(16, 1, 8, 8) + 5
    assert_close(penalties._global_std(x), x.std(correction=0), rtol=1e-5, atol=0)
    assert penalties._global_std(torch.ones(4, 2)) == 0


@pytest.mark.parametrize("penalty", ALL[:3])
def test_draws_depend_on_the_turn(penalty: Callable[..., Tensor]) -> None:
    x, x_fake = make_images(4, (3, 4, 4))
    outs = []
    for turn in (7, 7, 8):
        rng.seed_turn(0, turn)
        outs.append(penalise(penalty, half_squared_norm, x, x_fake))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("penalty", ALL[:3])
def test_two_processes_equal_one(penalty: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    x, x_fake = make_images(8, (3, 4, 4))
    std = penalties._global_std(x)
    expected = penalise(penalty, half_squared_norm, x, x_fake)
    monkeypatch.setattr(penalties, "_global_std", lambda _: std)
    monkeypatch.setattr(collectives, "world_size", lambda: 2)
    halves = []
    for rank in (0, 1):
        monkeypatch.setattr(collectives, "rank", lambda rank=rank: rank)
        rng.seed_turn(0, 0)
        halves.append(penalise(penalty, half_squared_norm, x.chunk(2)[rank], x_fake.chunk(2)[rank]))
    assert_close(torch.cat(halves), expected)


@every_penalty
def test_gradient_reaches_the_critic_and_not_the_images(penalty: Callable[..., Tensor]) -> None:
    x, x_fake = make_images(4, (3, 4, 4))
    x.requires_grad_()
    x_fake.requires_grad_()
    D = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0))
    penalise(penalty, lambda x: 100 * D(x), x, x_fake).mean().backward()  # steep, so that no penalty is zero
    assert D[1].weight.grad.abs().max() > 0
    assert x.grad is None
    assert x_fake.grad is None


@every_penalty
def test_gradient_is_finite_for_a_constant_critic(penalty: Callable[..., Tensor]) -> None:
    """The norm has no derivative at 0."""
    x, x_fake = make_images(4, (2,))
    w = torch.zeros(2, requires_grad=True)
    penalise(penalty, lambda x: x @ w, x, x_fake).sum().backward()
    assert w.grad.isfinite().all()


def test_gradient_of_the_weights_is_exact() -> None:
    """d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|, d/dw |w|^2 = 2 w."""
    x, x_fake = make_images(4, (2,))
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    for penalty, factor in ((penalties.gradient_penalty, 2 * 4 / 5), (penalties.r1, 2.0)):
        (gradient,) = torch.autograd.grad(penalise(penalty, lambda x: x @ w, x, x_fake).mean(), w)
        assert_close(gradient, factor * w.detach())


def test_lipschitz_penalty_is_zero_only_for_small_slopes() -> None:
    x, x_fake = make_images(4, (2,))
    flat, steep = torch.tensor([0.6, 0.6]), torch.tensor([0.9, 0.9])
    assert not penalise(penalties.lipschitz_penalty, lambda x: x @ flat, x, x_fake).any()
    expected = (math.sqrt(2) * 0.9 - 1) ** 2
    assert_close(penalise(penalties.lipschitz_penalty, lambda x: x @ steep, x, x_fake), torch.full((4,), expected))


def test_the_zero_centred_penalty_of_a_linear_critic_is_its_squared_slope() -> None:
    x, slope = torch.rand(5, 2), torch.tensor([3.0, 4.0])
    assert_close(penalise(penalties.zero_centred_penalty, lambda x: x @ slope, x, x + 1), torch.full((5,), 25.0))


APPROXIMATIONS = [(penalties.approximate_r1, penalties.r1), (penalties.approximate_r2, penalties.r2)]


@pytest.mark.parametrize(("approximate", "exact"), APPROXIMATIONS)
def test_approximations_have_the_mean_of_the_exact_penalty(approximate: Penalty, exact: Penalty) -> None:
    def critic(x: Tensor) -> Tensor:
        return (x @ torch.tensor([1.0, 2.0]).double()).sin() + x[:, 0] ** 2

    rng.seed_turn(0, 0)
    x_real, x_fake = (torch.tensor(point).double().expand(200_000, 2) for point in ([0.3, -0.2], [-0.5, 0.9]))
    estimates = penalise(partial(approximate, epsilon=1e-3), critic, x_real, x_fake)
    assert_close(estimates.mean(), penalise(exact, critic, x_real[:1], x_fake[:1])[0], rtol=0.02, atol=0)
