"""The turn against a loop written out by hand."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from gantry import rng
from gantry.losses import adversarial, penalties
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Update
from gantry.nets import mlp
from gantry.schedules import Clock, linear
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim

N, TURNS = 8, 4
OPTIM_FIELDS = ("G", "D", "schedule", "clip", "accumulate")
ADAM = partial(torch.optim.Adam, lr=1e-2, betas=(0.0, 0.9))


def nets() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    G = mlp.Generator((2,), 3, hidden=[16], norm="none", activation="relu")
    return G, mlp.Discriminator((2,), hidden=[16], norm="none")


def batches(per_turn: int, turns: int = TURNS) -> Iterator[tuple[Tensor, Tensor]]:
    for turn in range(turns):
        stream = torch.Generator().manual_seed(turn)
        yield torch.rand(per_turn, N, 2, generator=stream), torch.zeros(per_turn, N, dtype=torch.int64)


class Loader:
    """An iterable of batches: Lightning would take a list for several loaders."""

    def __init__(self, per_turn: int, turns: int = TURNS) -> None:
        self.per_turn, self.turns = per_turn, turns

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return batches(self.per_turn, self.turns)


def fit(gan: GAN, turns: int = TURNS, **more: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", max_steps=turns, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **more,
    )  # fmt: skip
    trainer.fit(gan, train_dataloaders=Loader(gan.loss.batches_per_turn, turns))
    return trainer


def make_gan(loss: Objective, turns: int = TURNS, **changes: Any) -> GAN:
    G, D = nets()
    optim = Optim(**({"G": ADAM, "D": ADAM} | {k: changes.pop(k) for k in OPTIM_FIELDS if k in changes}))
    return GAN(G, D, loss, optim, Ema(0.05, ramp=None), turns=turns, batch_size=N, seed=5, **changes)


def train_gan(loss: Objective, **changes: Any) -> tuple[GAN, Trainer]:
    gan = make_gan(loss, **changes)
    return gan, fit(gan)


WGAN_GP = Objective(
    d=adversarial.wasserstein_d,
    g=adversarial.wasserstein_g,
    d_terms={"gp": Term(penalties.gradient_penalty, weight=10.0)},
    n_critic=2,
)
SATURATING = Objective(d=adversarial.minimax_d, g=adversarial.nonsaturating_g)


def train_by_hand() -> tuple[nn.Module, nn.Module, nn.Module]:
    """WGAN-GP, Gulrajani et al. 2017, Algorithm 1."""
    G, D = nets()
    G_ema = copy.deepcopy(G)
    opt_g, opt_d = ADAM(G.parameters()), ADAM(D.parameters())
    for turn, (x, _) in enumerate(batches(2)):
        rng.seed_turn(5, turn)
        for x_k in x:
            x_fake = G(rng.randn(N, 3)).detach()
            line = torch.lerp(x_k, x_fake, rng.rand(N, 1)).requires_grad_()
            (slope,) = torch.autograd.grad(D(line).logits.sum(), line, create_graph=True)
            d_loss = D(x_fake).logits.mean() - D(x_k).logits.mean() + 10 * (slope.norm(dim=1) - 1).square().mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
        opt_g.zero_grad()
        (-D(G(rng.randn(N, 3))).logits.mean()).backward()
        opt_g.step()
        decay = 0.5 ** (2 * N / 1000 / 0.05)
        for average, value in zip(G_ema.parameters(), G.parameters()):
            average.data = decay * average.data + (1 - decay) * value.data
    return G, D, G_ema


def test_a_turn_is_algorithm_1() -> None:
    gan, trainer = train_gan(WGAN_GP)
    for net, expected in zip((gan.G, gan.D, gan.G_ema), train_by_hand()):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert trainer.global_step == gan.turn == TURNS
    assert gan.kimg == pytest.approx(TURNS * 2 * N / 1000)


def test_a_lazy_term_is_scaled_by_its_interval() -> None:
    seen: list[float] = []

    def penalty(update: Update) -> Tensor:
        seen.append(float(update.x_real[0, 0]))
        return update.fake.logits * 0 + 1

    term = Term(penalty, weight=0.5, every=3)
    train_gan(Objective(WGAN_GP.d, WGAN_GP.g, {"lazy": term}, n_critic=2))
    firsts = [float(x_k[0, 0]) for x, _ in batches(2) for x_k in x]
    assert seen == firsts[::3]
    assert term.compute_scale(Clock(0, 0.0, 0.0)) == 1.5


def test_a_relativistic_generator_sees_fresh_reals() -> None:
    seen = []

    def g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        assert real_logits is not None
        seen.append(real_logits.detach().clone())
        return adversarial.relativistic_g(fake_logits, real_logits)

    loss = Objective(adversarial.relativistic_d, g, relativistic=True)
    assert loss.batches_per_turn == 2
    train_gan(loss)
    assert len(seen) == TURNS + 1  # and one when the objective tries itself


def test_the_schedule_follows_the_turns() -> None:
    gan, _ = train_gan(SATURATING, schedule=linear)
    opt_g, opt_d = gan.optimizers()
    assert opt_g.param_groups[0]["lr"] == pytest.approx(1e-2 * (1 - (TURNS - 1) / TURNS))
    assert opt_d.param_groups[0]["lr"] == opt_g.param_groups[0]["lr"]


def test_accumulation_changes_nothing() -> None:
    complete, parts = train_gan(SATURATING)[0], train_gan(SATURATING, accumulate=4)[0]
    for value, expected in zip(parts.state_dict().values(), complete.state_dict().values()):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_gradient_of_each_net() -> None:
    sgd = partial(torch.optim.SGD, lr=1.0)
    gan = make_gan(SATURATING, turns=1, G=sgd, D=sgd, clip=1e-3)
    before = [p.detach().clone() for p in gan.D.parameters()]
    fit(gan, turns=1)
    moved = torch.cat([(p - b).flatten() for p, b in zip(gan.D.parameters(), before)]).norm()
    assert float(moved.detach()) == pytest.approx(1e-3, rel=1e-2)


def test_weight_clipping_keeps_every_weight_small() -> None:
    gan, _ = train_gan(Objective(WGAN_GP.d, WGAN_GP.g, weight_clip=0.01))
    assert max(float(p.detach().abs().max()) for p in gan.D.parameters()) == pytest.approx(0.01)
    assert max(float(p.detach().abs().max()) for p in gan.G.parameters()) > 0.01


def test_terms_of_the_generator_see_its_latents() -> None:
    shapes = []

    def penalty(update: Update) -> Tensor:
        shapes.append((tuple(update.z.shape), tuple(update.c.shape)))
        return update.x_fake.square().sum(1)

    train_gan(Objective(SATURATING.d, SATURATING.g, g_terms={"size": Term(penalty, every=2)}))
    assert shapes == [((N, 3), (N,))] * 2


class AutocastPlugin(MixedPrecision):
    """Lightning's plugin with or without the cache of cast weights."""

    def __init__(self, cached: bool) -> None:
        super().__init__("bf16-mixed", "cpu")
        self.cached = cached

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, cache_enabled=self.cached)


def test_autocast_does_not_reuse_casts_of_earlier_weights() -> None:
    fast = partial(ADAM, lr=0.1)
    cached, fresh = (make_gan(Objective(WGAN_GP.d, WGAN_GP.g, n_critic=3), turns=2, G=fast, D=fast) for _ in range(2))
    fit(cached, turns=2, plugins=[AutocastPlugin(cached=True)])
    fit(fresh, turns=2, plugins=[AutocastPlugin(cached=False)])
    for value, expected in zip(cached.state_dict().values(), fresh.state_dict().values()):
        torch.testing.assert_close(value, expected, rtol=0, atol=0.02)  # casts that are shared add up in bfloat16


def test_penalties_do_not_use_the_compiled_nets() -> None:
    seen: list[str] = []

    def compiled(net: nn.Module) -> Any:
        def call(*batch: Tensor) -> Tensor:
            seen.append(type(net).__name__)
            return net(*batch)

        return call

    gan = make_gan(WGAN_GP)
    names = set(gan.state_dict())
    gan.compile_nets(compiled)
    fit(gan)
    assert seen == (["Generator", "Discriminator", "Discriminator"] * 2 + ["Generator", "Discriminator"]) * TURNS
    assert set(gan.state_dict()) == names


@pytest.mark.slow
def test_torch_compile_changes_nothing() -> None:
    gan = make_gan(WGAN_GP)
    gan.compile_nets(torch.compile)
    fit(gan)
    for name, value in train_gan(WGAN_GP)[0].state_dict().items():
        torch.testing.assert_close(gan.state_dict()[name], value, rtol=1e-4, atol=1e-6)
