"""Training on a device that is not the CPU: the same numbers, and no synchronisation within a turn."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from compose_config import SMALL_WIDTHS, compose_config, list_choices
from fake_device import FAKE_DEVICE, FakeDeviceMode, use_fake_device
from gantry.commands.train import build_gan, build_trainer
from gantry.config.instantiate import build
from gantry.evaluation.evaluation import Evaluation
from gantry.training.cuda_graphs import CudaGraphExecutor, make_capturable
from gantry.training.executor import ScalarTensors, UpdateFunction
from gantry.training.gan import GAN
from in_process_training import make_bare_trainer, train_in_process

PAIRS = sorted(
    {("dcgan_small", loss) for loss in list_choices("loss")} | {(model, "hinge") for model in list_choices("model")}
)


class SyncRecorder(CudaGraphExecutor):
    """Runs updates eagerly with the tensors of captured turns, and records the operations that synchronise."""

    def __init__(self, machine: FakeDeviceMode) -> None:
        super().__init__()
        self.machine = machine
        self.synchronising: list[str] = []

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        make_capturable(optimizers)

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        assert x.device == c.device == FAKE_DEVICE
        before = len(self.machine.synchronizing_ops)
        scalars = updates(x, c)
        self.synchronising += self.machine.synchronizing_ops[before:]
        return scalars


def train_on_fake_device(
    cfg: DictConfig, make_trainer: Callable[[DictConfig], Trainer], monkeypatch: pytest.MonkeyPatch
) -> tuple[GAN, list[str]]:
    """Train a GAN: -> the GAN, on the CPU again, and the synchronising operations within its updates."""
    with use_fake_device(monkeypatch) as machine:
        gan = build_gan(cfg)
        gan.executor = play = SyncRecorder(machine)
        return train_in_process(gan, cfg, make_trainer(cfg)), play.synchronising


@pytest.mark.parametrize(("model", "loss"), PAIRS)
def test_a_turn_does_not_synchronise(model: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"model={model}", *SMALL_WIDTHS.get(model, []), f"loss={loss}", "augment=diffaugment", "optim.clip=1"]
    cfg = compose_config(*words, "turns=1", "data.batch_size=4", "hardware.channels_last=false")
    gan, synchronising = train_on_fake_device(cfg, make_bare_trainer, monkeypatch)
    assert gan.turn == 1
    assert synchronising == []


def test_updates_that_may_be_skipped_synchronise(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose_config("model=mlp_small", "turns=2", "data.batch_size=4", "callbacks.health.skip=true")
    gan, synchronising = train_on_fake_device(
        cfg, lambda cfg: make_bare_trainer(cfg, build(cfg.callbacks.health)), monkeypatch
    )
    assert len(synchronising) == gan.turn * (gan.loss.n_critic + 1)


def test_scores_equal_those_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all callbacks: scores, samples, checkpoints, plots, the report."""
    words = [
        "model=dcgan_small",
        *SMALL_WIDTHS["dcgan_small"],
        "turns=2",
        "data.batch_size=4",
        "hardware.channels_last=false",
    ]
    metrics = ["metrics.num_samples=50", "metrics.report.num_samples=60", "callbacks.evaluate.every=2", "logger=csv"]
    cfg = compose_config(*words, *metrics, f"run.dir={tmp_path}/here")
    expected = train_in_process(build_gan(cfg), cfg, build_trainer(cfg))
    cfg = compose_config(*words, *metrics, f"run.dir={tmp_path}/there")
    read, devices = Evaluation.extract_samples, list[torch.device]()
    monkeypatch.setattr(
        Evaluation, "extract_samples", lambda *arguments: (devices.append(arguments[2]), read(*arguments))[1]
    )
    gan, _ = train_on_fake_device(cfg, build_trainer, monkeypatch)
    assert devices == [FAKE_DEVICE] * 3  # at the start, at the end, for the report
    for name, value in gan.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-4, atol=1e-5)
    assert gan.run_state.scores == pytest.approx(expected.run_state.scores, rel=1e-4)
    left = [{path.name for path in (tmp_path / where).rglob("*")} for where in ("here", "there")]
    assert left[0] == left[1]
