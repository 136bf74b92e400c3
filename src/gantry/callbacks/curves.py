"""Draw the curves of metrics.csv during a run."""

import time
from pathlib import Path

from lightning import Trainer

from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.files import optional_write
from gantry.runs.layout import CURVES_FILE, PLOTS_FOLDER
from gantry.runs.metrics_csv import read_columns
from gantry.runs.summary import read_summary
from gantry.training.gan import GAN

MAX_TIME_FRACTION = 0.02  # of the run's time, for figures that later ones replace


class CurvePlotter(GanCallback):
    """Draws `folder`/plots/curves.png from metrics.csv at the end, and after an evaluation if time allows."""

    rank_zero_only = True
    after = (Evaluator,)

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.next_draw_time = 0.0

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.run_state.scored_at == gan.turn and time.monotonic() >= self.next_draw_time:
            self.draw()

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.draw()

    def draw(self) -> None:
        """Draw the rows of metrics.csv so far."""
        start = time.monotonic()
        from gantry.figures.curves import write_curves  # imports matplotlib

        metrics = read_columns(self.folder)
        if metrics:
            with optional_write():
                best_turn = read_summary(self.folder).get("best", {}).get("turn")
                write_curves(metrics, self.folder / PLOTS_FOLDER / CURVES_FILE, best_turn)
        self.next_draw_time = time.monotonic() + (time.monotonic() - start) / MAX_TIME_FRACTION
