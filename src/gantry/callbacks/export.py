"""Exported generators, which can be used without the rest of the run."""

import logging
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.callbacks.health import HealthCheck
from gantry.runs.generator import save_generator
from gantry.runs.layout import GENERATORS_FOLDER
from gantry.training.finite import all_finite
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class GeneratorExporter(GanCallback):
    """Saves G_ema to `folder`/generator/last after each evaluation and at the end, to `best` when the score improves.

    `generator` is the node of the configuration that built G. A generator that is not finite is never written.
    """

    rank_zero_only = True
    after = (HealthCheck, Evaluator)

    def __init__(self, folder: str, generator: dict[str, Any]) -> None:
        self.folder, self.generator = Path(folder) / GENERATORS_FOLDER, generator

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.run_state.scored_at == gan.turn:
            self.save(trainer, gan, "last")
            if gan.run_state.improved_at == gan.turn:
                self.save(trainer, gan, "best")

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.save(trainer, gan, "last")
        if gan.run_state.improved_at == gan.turn:  # a run that stops between two evaluations is scored at its end
            self.save(trainer, gan, "best")

    def save(self, trainer: Trainer, gan: GAN, which: str) -> None:
        """Save G_ema as it is now."""
        if not all_finite(gan.G_ema.state_dict().values()):
            log.warning("generator/%s not written: non-finite values in G_ema at turn %d", which, gan.turn)
            return
        scores = gan.run_state.scores if gan.run_state.scored_at == gan.turn else {}
        classes = getattr(getattr(trainer, "datamodule", None), "classes", ())
        extra = {"turn": gan.turn, "kimg": gan.kimg, "scores": scores, "classes": classes, "ema": True}
        save_generator(gan.G_ema, self.generator, self.folder / which, extra)
