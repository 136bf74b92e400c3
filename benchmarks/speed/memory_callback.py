"""The memory of a run of Gantry while it trains."""

import json
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from gantry.training.gan import GAN
from speed.memory import record_peak


class MemoryCallback(Callback):
    """Writes the peak at each of the shares of the budget to `path`."""

    def __init__(self, path: str) -> None:
        self.path, self.peaks = Path(path), dict[int, float]()

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        record_peak(self.peaks, gan.turn, gan.turns)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]  # noqa: ARG002
        self.path.write_text(json.dumps(list(self.peaks.values())))
