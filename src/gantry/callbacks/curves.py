"""metrics.csv as a picture."""

import time
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from gantry.files import optional_write
from gantry.runs.metrics_csv import read_metrics
from gantry.training.gan import GAN

MAX_TIME_FRACTION = 0.02  # of the time of a run may go into pictures that the next one replaces


class CurvePlotter(Callback):
    """Draws `folder`/plots/curves.png from metrics.csv at the end, and after an evaluation if time allows."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.next_draw_time = 0.0

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if trainer.is_global_zero and gan.scored_at == gan.turn and time.monotonic() >= self.next_draw_time:
            self.draw()

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]  # noqa: ARG002
        if trainer.is_global_zero:
            self.draw()

    def draw(self) -> None:
        """Draw what there is so far."""
        started = time.monotonic()
        from gantry.figures.curves import write_curves  # matplotlib

        metrics = read_metrics(self.folder)
        if metrics:
            with optional_write():
                write_curves(metrics, self.folder / "plots" / "curves.png")
        self.next_draw_time = time.monotonic() + (time.monotonic() - started) / MAX_TIME_FRACTION
