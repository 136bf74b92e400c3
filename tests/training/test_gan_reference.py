"""The turn with everything switched on, against a loop written out by hand; on two ranks against one process."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry import rng
from gantry.losses import adversarial, penalties
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Batch, Update
from small_gan import LR, SEED, TURNS, N, Z, make_batches, make_gan, make_nets, train
from spawn_ranks import run_on_ranks

D_WEIGHT, D_EVERY, G_WEIGHT, G_EVERY = 0.3, 3, 0.2, 2


def augment(x: Tensor) -> Tensor:
    return x * (0.5 + rng.rand(len(x), 1)) + 0.3


def size_of_samples(update: Update) -> Tensor:
    return update.x_fake.square().sum(1)


RELATIVISTIC = Objective(
    d=adversarial.relativistic_d,
    g=adversarial.relativistic_g,
    d_terms={"r1": Term(penalties.r1, D_WEIGHT, D_EVERY)},
    g_terms={"size": Term(size_of_samples, G_WEIGHT, G_EVERY)},
    n_critic=2,
    relativistic=True,
)


def step_by_hand(net: nn.Module, losses: list[Tensor], turn: int, clip: float | None) -> None:
    """Step down the gradient of the mean of the losses of the parts."""
    gradients = torch.autograd.grad(sum(losses) / len(losses), list(net.parameters()))  # type: ignore[arg-type]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    factor = 1.0 if clip is None else min(1.0, clip / float(norm))
    with torch.no_grad():
        for parameter, gradient in zip(net.parameters(), gradients):
            parameter -= LR * (1 - turn / TURNS) * factor * gradient


def train_by_hand(parts: int, clip: float | None) -> tuple[nn.Module, nn.Module, nn.Module]:
    G, D = make_nets()
    G_ema = copy.deepcopy(G)
    for turn in range(TURNS):
        x, c = make_batches(turn)
        rng.seed_turn(SEED, turn)
        for k in range(2):
            losses = []
            for x_k, c_k, z in zip(x[k].chunk(parts), c[k].chunk(parts), rng.randn(N, Z).chunk(parts)):
                x_fake = G(z, c_k).detach()
                x_k = x_k.clone().requires_grad_()
                real_logits = D(augment(x_k), c_k).logits
                loss = F.softplus(-(real_logits - D(augment(x_fake), c_k).logits)).mean()
                if (2 * turn + k) % D_EVERY == 0:
                    (slope,) = torch.autograd.grad(real_logits.sum(), x_k, create_graph=True)
                    loss = loss + D_WEIGHT * D_EVERY * slope.square().sum(1).mean()
                losses.append(loss)
            step_by_hand(D, losses, turn, clip)
        losses = []
        for x_k, c_k, z in zip(x[2].chunk(parts), c[2].chunk(parts), rng.randn(N, Z).chunk(parts)):
            fake_logits = D(augment(G(z, c_k)), c_k).logits
            loss = F.softplus(-(fake_logits - D(augment(x_k), c_k).logits)).mean()
            if turn % G_EVERY == 0:
                loss = loss + G_WEIGHT * G_EVERY * G(z, c_k).square().sum(1).mean()
            losses.append(loss)
        step_by_hand(G, losses, turn, clip)
        kimg_per_turn = 2 * N / 1000
        half_life = min(0.05, 0.5 * turn * kimg_per_turn)
        decay = 0.5 ** (kimg_per_turn / half_life) if turn else 0.0
        with torch.no_grad():
            for average, value in zip(G_ema.parameters(), G.parameters()):
                average.copy_(decay * average + (1 - decay) * value)
    return G, D, G_ema


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_conditional_augmented_relativistic_gan_with_lazy_terms(parts: int, clip: float | None) -> None:
    gan = make_gan(RELATIVISTIC, make_nets(), augment, accumulate=parts, clip=clip)
    train(gan)
    for net, expected in zip((gan.G, gan.D, gan.G_ema), train_by_hand(parts, clip)):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_scalars_of_parts_are_averaged() -> None:
    def squared_size(update: Update) -> Tensor:
        return update.x_real.square().sum(1)

    loss = Objective(RELATIVISTIC.d, RELATIVISTIC.g, {"size": Term(squared_size, 0.0)}, relativistic=True)
    one, two = (
        train(make_gan(loss, make_nets(), augment, accumulate=parts), turns=1)[0]["loss/D/size"] for parts in (1, 2)
    )
    assert two == pytest.approx(one, rel=1e-6)
    assert one == pytest.approx(float(make_batches(0)[0][0].square().sum(1).mean()), rel=1e-6)


DRAGAN = Objective(
    d=adversarial.relativistic_average_d,
    g=adversarial.relativistic_average_g,
    d_terms={"dragan": Term(penalties.dragan, 0.02)},
    n_critic=2,
    relativistic=True,
)


VARIANTS = ((None, "none"), (0.05, "none"), (None, "batch"))  # (clip, norm of G)


def train_variants() -> list[dict[str, Tensor]]:
    """-> the final state and losses of each variant, on this rank."""
    states = []
    for clip, norm in VARIANTS:
        gan = make_gan(DRAGAN, make_nets(norm), augment, clip=clip)
        rows = train(gan)
        states.append(dict(gan.state_dict()) | {"losses": torch.tensor(list(rows[-1].values()))})
    return states


@pytest.fixture(scope="module")
def by_rank() -> list[list[dict[str, Tensor]]]:
    """The variants on each of two ranks."""
    return run_on_ranks(2, train_variants)


def test_two_ranks_equal_one_process(by_rank: list[list[dict[str, Tensor]]]) -> None:
    for states in by_rank:
        for expected, state in zip(train_variants()[:2], states):
            assert state.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)


def test_running_statistics_are_averaged_over_ranks(by_rank: list[list[dict[str, Tensor]]]) -> None:
    first, second = (states[2] for states in by_rank)
    buffers = [name for name in first if "running" in name]
    assert buffers
    for name in buffers:
        assert torch.equal(first[name], second[name])


def test_a_skipped_update_is_counted_and_changes_nothing() -> None:
    gan = make_gan(RELATIVISTIC, make_nets(), augment, accumulate=2)
    gan.skip_nonfinite = True
    before = copy.deepcopy(gan.D.state_dict())
    x, c = make_batches(0)
    x[0, 3], x[1, 0] = torch.nan, torch.inf
    losses = gan.training_step((x, c), 0)["updates"]
    assert gan.run_state.num_skipped == 2
    assert [bool(scalars) for scalars in losses] == [False, False, True]
    assert all(torch.equal(value, before[name]) for name, value in gan.D.state_dict().items())


def count_passes(loss: Objective) -> list[int]:
    """-> the passes of D in one turn: through all of its updates, and with G's."""
    gan, passes = make_gan(loss, make_nets(), augment), 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    gan.D.register_forward_hook(count)
    counts = []
    step = gan.minimize
    gan.minimize = lambda *args: (step(*args), counts.append(passes))[0] or {}  # type: ignore[method-assign]
    gan.training_step(make_batches(0), 0)
    return counts


def test_r1_and_r2_need_no_pass_of_their_own() -> None:
    plain = Objective(adversarial.relativistic_d, adversarial.relativistic_g, relativistic=True)
    r3 = Objective(plain.d, plain.g, {"r1": Term(penalties.r1), "r2": Term(penalties.r2)}, relativistic=True)
    gp = Objective(plain.d, plain.g, {"gp": Term(penalties.gradient_penalty)}, relativistic=True)
    assert count_passes(plain) == count_passes(r3) == [2, 4]
    assert count_passes(gp) == [3, 5]


def record_batches(loss: Objective) -> dict[str, list[Batch]]:
    """-> the batches of a turn by net."""
    gan = make_gan(loss, make_nets(), augment)
    gan.class_shares = torch.tensor([0.5, 0.3, 0.2])
    batches: dict[str, list[Batch]] = {"D": [], "G": []}
    for net, name in (("D", "d_loss"), ("G", "g_loss")):
        function = getattr(gan, name)

        def record(terms: Any, batch: Batch, net: str = net, function: Any = function) -> Any:
            batches[net].append(batch)
            return function(terms, batch)

        setattr(gan, name, record)
    gan.training_step(make_batches(0), 0)
    return batches


def test_the_batch_of_g_has_several_fakes_of_the_class_of_each_image() -> None:
    batches = record_batches(Objective(adversarial.hinge_d, adversarial.hinge_g, n_critic=2, g_batch=3))
    c = make_batches(0)[1]
    for k, batch in enumerate(batches["D"]):
        assert len(batch.z) == N
        assert batch.c_fake.tolist() == batch.c.tolist() == c[k].tolist()
    (batch,) = batches["G"]
    assert batch.z.shape == (3 * N, Z)
    assert batch.c_fake.tolist() == [k for k in c[-1].tolist() for _ in range(3)]


def test_classes_of_fakes_are_drawn_with_the_shares_of_the_data() -> None:
    rng.seed_turn(0, 0)
    shares = torch.tensor([0.5, 0.3, 0.0, 0.2])
    counts = torch.bincount(rng.rand_classes(100_000, shares), minlength=4) / 100_000
    torch.testing.assert_close(counts, shares, rtol=0, atol=0.006)
    assert counts[2] == 0
    drawn = Objective(adversarial.hinge_d, adversarial.hinge_g, fake_classes="drawn")
    batch = record_batches(drawn)["D"][0]
    assert batch.c_fake.tolist() != batch.c.tolist()
