"""Stand-ins for a GAN, a trainer and a logger, so that callbacks can be tested without any training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor, nn

from gantry.training.run_state import RunState


class TinyG(nn.Module):
    """Constant images whose level says which sample of which class they are: tanh(z[:, 0] / 4 + c)."""

    def __init__(self, shape: Sequence[int] = (1, 8, 8), z_dim: int = 4, num_classes: int = 0) -> None:
        super().__init__()
        self.shape, self.z_dim, self.num_classes = tuple(shape), z_dim, num_classes
        self.scale = nn.Parameter(torch.tensor(0.25))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        if self.shape == (2,):
            return torch.tanh(z[:, :2])
        level = torch.tanh(z[:, 0] * self.scale + (c if self.num_classes else 0))
        return level.view(-1, 1, 1, 1).expand(-1, *self.shape)


class NoisyG(TinyG):
    """As `TinyG`, with a lower half of the images whose level is that of the noise, tanh(noise[:, 1])."""

    noise_dim = 2

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        z, noise = z.split([self.z_dim, self.noise_dim], 1)
        x = super().forward(z, c).clone()
        x[:, :, x.shape[2] // 2 :] = noise[:, 1].tanh().view(-1, 1, 1, 1)
        return x


@dataclass
class TinyGan:
    """The part of a GAN that callbacks see."""

    G_ema: nn.Module = field(default_factory=TinyG)
    G: nn.Module = field(default_factory=TinyG)
    D: nn.Module = field(default_factory=TinyG)  # any net with a parameter
    turns: int = 20
    turn: int = 0
    kimg_per_turn: float = 0.064
    run_state: RunState = field(default_factory=RunState)
    device: str = "cpu"

    @property
    def kimg(self) -> float:
        return self.turn * self.kimg_per_turn

    def is_due(self, every: int) -> bool:
        return self.turn % every == 0 or self.turn == self.turns


class RecordingLogger(DummyLogger):
    """A logger that remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.images: list[tuple[str, int, Any]] = []
        self.histograms: list[tuple[str, int, Any]] = []

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        self.rows.append((step, dict(metrics)))

    def log_pixels(self, name: str, pixels: Any, turn: int) -> None:
        self.images.append((name, turn, pixels))

    def log_histogram(self, name: str, values: Any, turn: int) -> None:
        self.histograms.append((name, turn, values))


def make_trainer_stub(*loggers: Any, rank: int = 0, **more: Any) -> Any:
    """The part of a trainer that callbacks see."""
    return SimpleNamespace(is_global_zero=rank == 0, loggers=list(loggers), **more)


def call_hooks(
    callback: Any, on: Any, gan: TinyGan, turns: int, losses: Any = lambda _: {}, between: Any = None
) -> None:
    """Call the hooks of a callback as training from gan.turn to `turns` would."""
    callback.on_train_start(on, gan)
    while gan.turn < turns:
        callback.on_train_batch_start(on, gan, None, gan.turn)
        gan.turn += 1
        if between is not None:
            between(gan)
        callback.on_train_batch_end(on, gan, {"losses": losses(gan.turn)}, None, gan.turn - 1)
    callback.on_train_end(on, gan)
    callback.teardown(on, gan, "fit")
