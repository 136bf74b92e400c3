"""A run without training: points of the plane, a generator that puts samples on both modes or beside them."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gantry.data.images import InMemoryImages
from gantry.evaluation.evaluation import Evaluation, ReportSettings
from gantry.metrics.mode_coverage import MixtureModeCoverage
from stubs import TinyGan

MODE_POINTS = [(0.5, 0.0), (-0.5, 0.0)]  # points on both modes


class ConstantGenerator(nn.Module):
    """Sample i is point i mod 2, whatever z is; BatchNorm counts how often it was trained."""

    z_dim, num_classes, shape = 3, 2, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.tensor(MODE_POINTS))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        self.norm(z)
        return self.points[c]


class LoggerStub:
    def __init__(self) -> None:
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, float] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))

    def log_hyperparams(self, config: dict[str, Any]) -> None:
        self.config |= config

    def log_summary(self, numbers: dict[str, float]) -> None:
        self.summary |= numbers


class FakePointsRun:
    """A trainer and a GAN that only count turns."""

    def __init__(self, callback: Any) -> None:
        real = InMemoryImages(torch.tensor(MODE_POINTS).repeat(10, 1), torch.zeros(20, dtype=torch.int64))
        splits = {"train": real, "test": real}
        data = SimpleNamespace(name="two", shape=(2,), num_classes=0, classes=(), flip=False)
        data.get_reference_split = splits.__getitem__
        data.data = SimpleNamespace(test=real)
        self.logger = LoggerStub()
        self.trainer: Any = SimpleNamespace(
            loggers=[self.logger], datamodule=data, is_global_zero=True, callbacks=[callback]
        )
        self.gan: Any = TinyGan(G_ema=ConstantGenerator().train(), turns=5)
        self.callback = callback
        self.callback.on_setup(self.trainer, self.gan)
        self.callback.on_training_start(self.trainer, self.gan)

    def run_turn(self, spread: float = 1.0) -> None:
        self.gan.turn += 1
        self.gan.G_ema.points.data = spread * torch.tensor(MODE_POINTS)
        self.callback.on_turn_end(self.trainer, self.gan, {})


def make_points_evaluation(
    monitor: str = "high_quality", mode: Any = "max", seed: int = 0, report: ReportSettings | None = None
) -> Evaluation:
    modes = MixtureModeCoverage(centres=tuple(MODE_POINTS), sigma=0.01)
    return Evaluation({"modes": modes}, 8, monitor, mode, seed=seed, batch_size=3, report=report)
