"""Recorded turns against the same turns as they are written."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn

from fake_cuda_graphs import FakeGraphRecorder
from gantry.augment.diffaugment import DiffAugment
from gantry.losses import adversarial, penalties
from gantry.losses.objective import Objective, Term
from gantry.nets import dcgan, mlp, resnet
from gantry.training.cuda_graphs import WARM_UP_TURNS, CudaGraphExecutor
from gantry.training.ema import Ema
from gantry.training.executor import TurnExecutor
from gantry.training.gan import GAN
from gantry.training.optim import Optim
from gantry.training.schedules import linear

N, TURNS = 8, 12
Nets = tuple[nn.Module, nn.Module]


def points() -> Nets:
    G = mlp.Generator((2,), 3, hidden=[16], norm="none", activation="relu")
    return G, mlp.Discriminator((2,), hidden=[16], norm="none")


def pictures() -> Nets:
    """With BatchNorm in G, classes in both."""
    return (
        dcgan.Generator((1, 8, 8), 3, num_classes=2, width=4, max_width=8),
        dcgan.Discriminator((1, 8, 8), num_classes=2, width=4, max_width=8, norm="none"),
    )


def spectral() -> Nets:
    G, _ = pictures()
    return G, dcgan.Discriminator((1, 8, 8), num_classes=2, width=4, max_width=8, norm="spectral")


def resnets() -> Nets:
    G = resnet.Generator((3, 32, 32), 8, width=16)
    return G, resnet.Discriminator((3, 32, 32), width=16, norm="none", pool="sum")


class Loader:
    """Batches of the shape that the critic takes, another one each turn."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan
        self.shape = (gan.loss.batches_per_turn, N, *gan.D.shape)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for turn in range(self.gan.turn, self.gan.turns):
            stream = torch.Generator().manual_seed(turn)
            x = torch.rand(*self.shape, generator=stream) * 2 - 1
            yield x, torch.randint(0, 2, self.shape[:2], generator=stream)


def made(nets: Callable[[], Nets], loss: Objective, lr: float = 1e-2, **optim: Any) -> GAN:
    torch.manual_seed(0)
    G, D = nets()
    adam = partial(torch.optim.Adam, lr=lr, betas=(0.0, 0.9), fused=True)
    settings = Optim(G=adam, D=adam, **({"schedule": linear} | optim))
    augment = DiffAugment(color=True, translation=0.2, cutout=0.5) if len(G.shape) == 3 else lambda x: x
    return GAN(G, D, loss, settings, Ema(0.05), turns=TURNS, batch_size=N, seed=5, augment=augment)


def trained(
    gan: GAN,
    play: TurnExecutor | None = None,
    turns: int = TURNS,
    stop: int | None = None,
    save: Path | None = None,
    resume: Path | None = None,
    **hardware: Any,
) -> GAN:
    gan.executor, gan.turns = play or gan.executor, turns
    trainer = Trainer(
        **({"accelerator": "cpu"} | hardware), devices=1, max_steps=stop or turns, max_epochs=-1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(gan, train_dataloaders=Loader(gan), ckpt_path=resume, weights_only=True)
    assert trainer.global_step == gan.turn == (stop or turns)
    if save is not None:
        trainer.save_checkpoint(save)
    return gan.cpu()


def falling(progress: float) -> float:
    return 10.0 - 5.0 * progress


EVERY = {"wgan_gp": Objective(
    adversarial.wasserstein_d, adversarial.wasserstein_g, {"gp": Term(penalties.gradient_penalty, falling)}, n_critic=2,
)}  # fmt: skip
EVERY["lazy_r1"] = Objective(adversarial.minimax_d, adversarial.nonsaturating_g, {"r1": Term(penalties.r1, 0.5, 3)})
EVERY["dragan"] = Objective(adversarial.minimax_d, adversarial.nonsaturating_g, {"dragan": Term(penalties.dragan, 1.0)})
EVERY["hinge"] = Objective(adversarial.hinge_d, adversarial.hinge_g, n_critic=3)
EVERY["pairs"] = Objective(adversarial.relativistic_d, adversarial.relativistic_g, relativistic=True)
CASES = [(points, "wgan_gp"), (points, "lazy_r1"), (pictures, "dragan"), (spectral, "hinge"), (pictures, "pairs")]


@pytest.mark.parametrize(("nets", "loss"), CASES)
def test_recorded_turns_are_the_turns(nets: Callable[[], Nets], loss: str) -> None:
    gan = made(nets, EVERY[loss], clip=1.0, accumulate=2)
    expected = trained(copy.deepcopy(gan))
    tapes = FakeGraphRecorder(*gan.state_dict(keep_vars=True).values())
    recorded = trained(gan, CudaGraphExecutor(lambda: tapes))
    kinds = 2 if loss == "lazy_r1" else 1
    assert tapes.num_recorded == kinds < TURNS - kinds * WARM_UP_TURNS
    for name, value in recorded.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)
    for (name, parameter), other in zip(recorded.named_parameters(), expected.parameters()):
        if not name.startswith("G_ema"):
            torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_a_recorded_run_goes_on_without_recording(tmp_path: Path) -> None:
    class Marking(FakeGraphRecorder):
        def prepare(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
            super().prepare(optimizers)
            for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                group["capturable"] = True  # as CUDA graphs want it, and as the checkpoint has it

    first = made(points, EVERY["wgan_gp"])
    tapes = Marking(*first.state_dict(keep_vars=True).values())
    trained(first, CudaGraphExecutor(lambda: tapes), stop=7, save=tmp_path / "turn7.ckpt")
    second = trained(made(points, EVERY["wgan_gp"]), resume=tmp_path / "turn7.ckpt")
    assert [group["capturable"] for o in second.trainer.optimizers for group in o.param_groups] == [False, False]
    expected = trained(made(points, EVERY["wgan_gp"]))
    for name, value in second.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_rates_and_weights_stay_float32_in_nets_that_are_not() -> None:
    """Fused optimisers on a GPU take no other."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        (rate,) = CudaGraphExecutor(FakeGraphRecorder).prepare_values({"lr": 1e-3}, torch.device("cpu")).values()
    finally:
        torch.set_default_dtype(torch.float32)
    assert rate.dtype == torch.float32
    assert rate.item() == pytest.approx(1e-3, rel=1e-6)


def fetching(critic: Any, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """A penalty that cannot be recorded."""
    return critic(x_real) * float(x_real.mean())


def test_what_cannot_be_recorded_runs_as_it_is_written_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    gan = made(points, Objective(adversarial.minimax_d, adversarial.nonsaturating_g, {"bad": Term(fetching)}))
    expected = trained(copy.deepcopy(gan))
    with caplog.at_level(logging.WARNING):
        plain = trained(gan, CudaGraphExecutor(lambda: FakeGraphRecorder(*gan.state_dict(keep_vars=True).values())))
    (said,) = [message for message in caplog.messages if message.startswith("trainer.capture")]
    assert said.endswith("turns run as they are written from here on, since a recorded turn must not fetch a number")
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_a_recording_that_fails_takes_the_others_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """They share its generators. What is told is the first cause, not that the recording could not be ended either."""

    class Ending(FakeGraphRecorder):
        def record(self, run: Callable[[], Any]) -> Any:
            try:
                return super().record(run)
            except RuntimeError:
                raise RuntimeError("operation failed due to a previous error") from None

    terms = {"lazy": Term(fetching, every=5)}
    play = CudaGraphExecutor(Ending)
    with caplog.at_level(logging.WARNING):
        gan = trained(made(points, Objective(adversarial.minimax_d, adversarial.nonsaturating_g, terms)), play)
    assert gan.turn == TURNS
    assert not play.recordings
    (said,) = [message for message in caplog.messages if message.startswith("trainer.capture")]
    assert said.endswith("since a recorded turn must not fetch a number")


def computed(gan: GAN) -> dict[str, Tensor]:
    """What the nets make of fixed inputs as they train: the biases that BatchNorm takes away are moved by rounding."""
    stream, c = torch.Generator().manual_seed(0), torch.arange(16) % 2
    z = torch.randn(16, gan.G.z_dim, generator=stream)
    x = torch.rand(16, *gan.D.shape, generator=stream) * 2 - 1
    gan.train()
    with torch.no_grad():
        return {"G": gan.G(z, c), "G_ema": gan.G_ema(z, c), "D": gan.D(x, c)}


def assert_recorded_as_plain(gan: GAN, same: GAN, precision: str) -> None:
    """Fifty turns on a GPU, of the second GAN recorded: weights and buffers, but for what rounding moves, and what the
    nets compute."""
    expected = trained(gan, turns=50, accelerator="cuda", precision=precision)
    play = CudaGraphExecutor()
    recorded = trained(same, play, turns=50, accelerator="cuda", precision=precision)
    assert play.is_enabled
    assert play.recordings
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if precision == "32-true" else {"rtol": 0.1, "atol": 0.02}
    for name, value in recorded.state_dict().items():
        if not name.endswith(("bias", "running_mean")):  # see `computed`
            torch.testing.assert_close(value, expected.state_dict()[name], **tolerance)
    torch.testing.assert_close(computed(recorded), computed(expected), **tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize(("nets", "loss"), [*CASES, (resnets, "wgan_gp")])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fifty_turns_as_cuda_graphs(nets: Callable[[], Nets], loss: str, precision: str) -> None:
    """At the papers' rate: at a high one rounding grows to differences of any size within fifty turns."""
    gan = made(nets, EVERY[loss], lr=2e-4)
    assert_recorded_as_plain(gan, copy.deepcopy(gan), precision)


@pytest.mark.gpu
@pytest.mark.parametrize(("nets", "loss"), [(points, "lazy_r1"), (spectral, "hinge")])
def test_compiled_nets_in_recorded_turns(nets: Callable[[], Nets], loss: str) -> None:
    gan = made(nets, EVERY[loss], lr=2e-4)
    compiled = copy.deepcopy(gan)
    torch.compiler.reset()
    compiled.compute_with(torch.compile)
    assert_recorded_as_plain(gan, compiled, "32-true")


@pytest.mark.gpu
def test_a_run_goes_on_after_a_recording_on_a_gpu_failed() -> None:
    gan = made(points, Objective(adversarial.minimax_d, adversarial.nonsaturating_g, {"bad": Term(fetching)}))
    expected = trained(copy.deepcopy(gan), accelerator="cuda")
    play = CudaGraphExecutor()
    plain = trained(gan, play, accelerator="cuda")
    assert not play.is_enabled
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_a_captured_run_goes_on_as_if_unbroken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    whole = trained(made(pictures, EVERY["lazy_r1"]), CudaGraphExecutor(), turns=30, accelerator="cuda")
    first = made(pictures, EVERY["lazy_r1"])
    trained(first, CudaGraphExecutor(), turns=30, accelerator="cuda", stop=17, save=tmp_path / "turn17.ckpt")
    second = made(pictures, EVERY["lazy_r1"])
    trained(second, CudaGraphExecutor(), turns=30, accelerator="cuda", resume=tmp_path / "turn17.ckpt")
    for name, value in second.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
