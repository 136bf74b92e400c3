"""The generator on its own, ready to be used without the rest of the run."""

import logging
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.runs.generator import save_generator
from gantry.runs.layout import GENERATORS_FOLDER
from gantry.training.finite import all_finite
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class GeneratorExporter(GanCallback):
    """G_ema in `folder`/generator/last at each evaluation and at the end; in `best` when a score improves.

    `generator` is the node of the configuration that G was built from. A generator that is not finite is never
    written. Comes after the Evaluate callback.
    """

    def __init__(self, folder: str, generator: dict[str, Any]) -> None:
        self.folder, self.generator = Path(folder) / GENERATORS_FOLDER, generator

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.scored_at == gan.turn:
            self.save(trainer, gan, "last")
            if gan.improved_at == gan.turn:
                self.save(trainer, gan, "best")

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.save(trainer, gan, "last")
        if gan.improved_at == gan.turn:  # a run that ended between two evaluations is scored at its end
            self.save(trainer, gan, "best")

    def save(self, trainer: Trainer, gan: GAN, name: str) -> None:
        """Write G_ema as it is now, on one process."""
        if not all_finite(gan.G_ema.state_dict().values()):
            log.warning("generator/%s is left as it is: G_ema of turn %d is not finite", name, gan.turn)
        elif trainer.is_global_zero:
            scores = gan.scores if gan.scored_at == gan.turn else {}
            classes = getattr(getattr(trainer, "datamodule", None), "classes", ())
            extra = {"turn": gan.turn, "kimg": gan.kimg, "scores": scores, "classes": classes, "ema": True}
            save_generator(gan.G_ema, self.generator, self.folder / name, extra)
