"""The generator on its own, ready to be used without the rest of the run."""

import math
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, Trainer

from gantry.runs.generator import save_generator
from gantry.training.gan import GAN


class Export(Callback):
    """G_ema in `folder`/generator/last at each evaluation and at the end; in `best` when a score improves.

    `generator` is the node of the configuration that G was built from. `monitor` names the score, `mode` says
    whether less is better. Comes after the Evaluate callback.
    """

    def __init__(
        self,
        folder: str,
        generator: dict[str, Any],
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        self.folder, self.generator = Path(folder) / "generator", generator
        self.monitor, self.sign = monitor, {"min": 1.0, "max": -1.0}[mode]
        self.best: float | None = None

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if gan.scored_at == gan.turn:
            self.save(trainer, gan, "last")
            score = gan.scores.get(self.monitor or "", math.nan)
            if math.isfinite(score) and (self.best is None or self.sign * score < self.sign * self.best):
                self.best = score
                self.save(trainer, gan, "best")

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.save(trainer, gan, "last")

    def save(self, trainer: Trainer, gan: GAN, name: str) -> None:
        """Write G_ema as it is now, on one process."""
        if trainer.is_global_zero:
            scores = gan.scores if gan.scored_at == gan.turn else {}
            classes = getattr(getattr(trainer, "datamodule", None), "classes", ())
            extra = {"turn": gan.turn, "kimg": gan.kimg, "scores": scores, "classes": classes, "ema": True}
            save_generator(gan.G_ema, self.generator, self.folder / name, extra)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
