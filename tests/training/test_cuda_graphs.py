"""Captured turns against the same turns run eagerly."""

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
from gantry.losses.objective import Objective
from gantry.losses.term import Term
from gantry.losses.update import Update
from gantry.nets import dcgan, mlp, resnet
from gantry.schedules import Clock, linear
from gantry.training.cuda_graphs import WARM_UP_TURNS, CudaGraphExecutor
from gantry.training.ema import Ema
from gantry.training.executor import TurnExecutor, TurnValues
from gantry.training.gan import GAN
from gantry.training.optim import Optim

N, TURNS = 8, 12
Nets = tuple[nn.Module, nn.Module]


def points() -> Nets:
    G = mlp.Generator((2,), 3, hidden=[16], norm="none", activation="relu")
    return G, mlp.Discriminator((2,), hidden=[16], norm="none")


def pictures() -> Nets:
    """G with BatchNorm, classes in both nets."""
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
    """Yields a random batch of the shape that D takes for each turn."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan
        self.shape = (gan.loss.batches_per_turn, N, *gan.D.shape)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for turn in range(self.gan.turn, self.gan.turns):
            stream = torch.Generator().manual_seed(turn)
            x = torch.rand(*self.shape, generator=stream) * 2 - 1
            yield x, torch.randint(0, 2, self.shape[:2], generator=stream)


def make_gan(nets: Callable[[], Nets], loss: Objective, lr: float = 1e-2, **optim: Any) -> GAN:
    torch.manual_seed(0)
    G, D = nets()
    adam = partial(torch.optim.Adam, lr=lr, betas=(0.0, 0.9), fused=True)
    settings = Optim(G=adam, D=adam, **({"schedule": linear} | optim))
    augment = DiffAugment(color=True, translation=0.2, cutout=0.5) if len(G.shape) == 3 else lambda x: x
    return GAN(G, D, loss, settings, Ema(0.05), turns=TURNS, batch_size=N, seed=5, augment=augment)


def train_gan(
    gan: GAN,
    executor: TurnExecutor | None = None,
    turns: int = TURNS,
    stop: int | None = None,
    save: Path | None = None,
    resume: Path | None = None,
    **hardware: Any,
) -> GAN:
    gan.executor, gan.turns = executor or gan.executor, turns
    trainer = Trainer(
        **({"accelerator": "cpu"} | hardware), devices=1, max_steps=stop or turns, max_epochs=-1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(gan, train_dataloaders=Loader(gan), ckpt_path=resume, weights_only=True)
    assert trainer.global_step == gan.turn == (stop or turns)
    if save is not None:
        trainer.save_checkpoint(save)
    return gan.cpu()


def decrease(clock: Clock) -> float:
    return 10.0 - 5.0 * clock.progress


MINIMAX = (adversarial.minimax_d, adversarial.nonsaturating_g)
WASSERSTEIN = (adversarial.wasserstein_d, adversarial.wasserstein_g)
OBJECTIVES = {
    "wgan_gp": Objective(*WASSERSTEIN, {"gp": Term(penalties.gradient_penalty, decrease)}, n_critic=2),
    "lazy_r1": Objective(*MINIMAX, {"r1": Term(penalties.r1, 0.5, 3)}),
    "dragan": Objective(*MINIMAX, {"dragan": Term(penalties.dragan, 1.0)}),
    "hinge": Objective(adversarial.hinge_d, adversarial.hinge_g, n_critic=3),
    "pairs": Objective(adversarial.relativistic_d, adversarial.relativistic_g, relativistic=True),
}
CASES = [(points, "wgan_gp"), (points, "lazy_r1"), (pictures, "dragan"), (spectral, "hinge"), (pictures, "pairs")]


@pytest.mark.parametrize(("nets", "loss"), CASES)
def test_captured_turns_equal_eager_turns(nets: Callable[[], Nets], loss: str) -> None:
    gan = make_gan(nets, OBJECTIVES[loss], clip=1.0, accumulate=1 if loss == "dragan" else 2)
    expected = train_gan(copy.deepcopy(gan))
    recorder = FakeGraphRecorder(*gan.state_dict(keep_vars=True).values())
    captured = train_gan(gan, CudaGraphExecutor(lambda: recorder))
    kinds = 2 if loss == "lazy_r1" else 1
    assert recorder.num_recorded == kinds < TURNS - kinds * WARM_UP_TURNS
    for name, value in captured.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)
    for (name, parameter), other in zip(captured.named_parameters(), expected.parameters()):
        if not name.startswith("G_ema"):
            torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_a_captured_run_resumes_eagerly(tmp_path: Path) -> None:
    class CapturableRecorder(FakeGraphRecorder):
        def prepare_optimizers(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
            super().prepare_optimizers(optimizers)
            for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                group["capturable"] = True  # as CUDA graphs want it, and as the checkpoint has it

    first = make_gan(points, OBJECTIVES["wgan_gp"])
    recorder = CapturableRecorder(*first.state_dict(keep_vars=True).values())
    train_gan(first, CudaGraphExecutor(lambda: recorder), stop=7, save=tmp_path / "turn7.ckpt")
    second = train_gan(make_gan(points, OBJECTIVES["wgan_gp"]), resume=tmp_path / "turn7.ckpt")
    assert [group["capturable"] for o in second.trainer.optimizers for group in o.param_groups] == [False, False]
    expected = train_gan(make_gan(points, OBJECTIVES["wgan_gp"]))
    for name, value in second.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_turn_values_are_float32_in_bfloat16_nets() -> None:
    """Fused optimisers on a GPU accept no other dtype."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        values = TurnValues(lr=(1e-3,), ema_decay=0.5, d_scale={}, g_scale={})
        (rate,) = CudaGraphExecutor(FakeGraphRecorder).prepare_values(values, torch.device("cpu")).lr
        assert isinstance(rate, Tensor)
    finally:
        torch.set_default_dtype(torch.float32)
    assert rate.dtype == torch.float32
    assert rate.item() == pytest.approx(1e-3, rel=1e-6)


def fetch_mean(update: Update) -> Tensor:
    """A penalty that cannot be captured: it fetches a number."""
    return update.critic(update.x_real) * float(update.x_real.mean())


def test_a_turn_that_cannot_be_captured_runs_eagerly_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    gan = make_gan(points, Objective(*MINIMAX, {"bad": Term(fetch_mean)}))
    expected = train_gan(copy.deepcopy(gan))
    with caplog.at_level(logging.WARNING):
        eager = train_gan(gan, CudaGraphExecutor(lambda: FakeGraphRecorder(*gan.state_dict(keep_vars=True).values())))
    (message,) = [line for line in caplog.messages if line.startswith("CUDA graph capture failed")]
    assert (
        message == "CUDA graph capture failed: a captured turn must not read a number. Turns run eagerly from here on"
    )
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_a_failed_capture_drops_all_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """Recordings share generators. The warning names the first error, not that of ending the capture."""

    class FailingRecorder(FakeGraphRecorder):
        def record(self, run: Callable[[], Any]) -> Any:
            try:
                return super().record(run)
            except RuntimeError:
                raise RuntimeError("operation failed due to a previous error") from None

    terms = {"lazy": Term(fetch_mean, every=5)}
    executor = CudaGraphExecutor(FailingRecorder)
    with caplog.at_level(logging.WARNING):
        gan = train_gan(make_gan(points, Objective(*MINIMAX, terms)), executor)
    assert gan.turn == TURNS
    assert not executor.recordings
    (message,) = [line for line in caplog.messages if line.startswith("CUDA graph capture failed")]
    assert message.endswith("a captured turn must not read a number. Turns run eagerly from here on")


def compute_outputs(gan: GAN) -> dict[str, Tensor]:
    """Outputs for fixed inputs in training mode; biases before BatchNorm are moved by rounding alone."""
    stream, c = torch.Generator().manual_seed(0), torch.arange(16) % 2
    z = torch.randn(16, gan.G.z_dim, generator=stream)
    x = torch.rand(16, *gan.D.shape, generator=stream) * 2 - 1
    gan.train()
    with torch.no_grad():
        return {"G": gan.G(z, c), "G_ema": gan.G_ema(z, c), "D": gan.D(x, c).logits}


def assert_captured_equals_eager(gan: GAN, same: GAN, precision: str) -> None:
    """Train 50 turns on a GPU, the second GAN captured, and compare weights, buffers and outputs.

    Biases and running means are left out, which rounding alone moves.
    """
    expected = train_gan(gan, turns=50, accelerator="cuda", precision=precision)
    executor = CudaGraphExecutor()
    captured = train_gan(same, executor, turns=50, accelerator="cuda", precision=precision)
    assert executor.is_enabled
    assert executor.recordings
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if precision == "32-true" else {"rtol": 0.1, "atol": 0.02}
    for name, value in captured.state_dict().items():
        if not name.endswith(("bias", "running_mean")):  # see `compute_outputs`
            torch.testing.assert_close(value, expected.state_dict()[name], **tolerance)
    torch.testing.assert_close(compute_outputs(captured), compute_outputs(expected), **tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize(("nets", "loss"), [*CASES, (resnets, "wgan_gp")])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fifty_turns_as_cuda_graphs(nets: Callable[[], Nets], loss: str, precision: str) -> None:
    """At the papers' rate: at a higher one rounding errors grow without bound within fifty turns."""
    gan = make_gan(nets, OBJECTIVES[loss], lr=2e-4)
    assert_captured_equals_eager(gan, copy.deepcopy(gan), precision)


@pytest.mark.gpu
@pytest.mark.parametrize(("nets", "loss"), [(points, "lazy_r1"), (spectral, "hinge")])
def test_compiled_nets_in_captured_turns(nets: Callable[[], Nets], loss: str) -> None:
    gan = make_gan(nets, OBJECTIVES[loss], lr=2e-4)
    compiled = copy.deepcopy(gan)
    torch.compiler.reset()
    compiled.compute_with(torch.compile)
    assert_captured_equals_eager(gan, compiled, "32-true")


@pytest.mark.gpu
def test_a_run_continues_after_a_failed_capture_on_a_gpu() -> None:
    gan = make_gan(points, Objective(*MINIMAX, {"bad": Term(fetch_mean)}))
    expected = train_gan(copy.deepcopy(gan), accelerator="cuda")
    executor = CudaGraphExecutor()
    eager = train_gan(gan, executor, accelerator="cuda")
    assert not executor.is_enabled
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_a_captured_run_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    complete = train_gan(make_gan(pictures, OBJECTIVES["lazy_r1"]), CudaGraphExecutor(), turns=30, accelerator="cuda")
    first = make_gan(pictures, OBJECTIVES["lazy_r1"])
    train_gan(first, CudaGraphExecutor(), turns=30, accelerator="cuda", stop=17, save=tmp_path / "turn17.ckpt")
    second = make_gan(pictures, OBJECTIVES["lazy_r1"])
    train_gan(second, CudaGraphExecutor(), turns=30, accelerator="cuda", resume=tmp_path / "turn17.ckpt")
    for name, value in second.state_dict().items():
        assert torch.equal(value, complete.state_dict()[name]), name
