"""Whole training states on disk: the last two, and the best by the monitored score."""

import math
import os
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from gantry.training.gan import GAN


class Checkpoints(Callback):
    """`last.ckpt` every `every` turns and at the end, `before.ckpt` its predecessor, `best.ckpt` when a score improves.

    A checkpoint is written to a temporary file, synced and renamed: whenever the program dies, what `last.ckpt`
    names is whole. `best.ckpt` follows `monitor` among the scores of the Evaluate callback, which must come first.
    """

    def __init__(self, folder: str, every: int, monitor: str | None = None, mode: str = "min") -> None:
        self.folder, self.every, self.monitor, self.mode = Path(folder), every, monitor, mode
        self.best: float | None = None

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        improved = gan.scored_at == gan.turn and self.improves(gan.scores)
        if improved:
            assert self.monitor is not None
            self.best = gan.scores[self.monitor]
            self.write(trainer, "best.ckpt")
        if gan.turn % self.every == 0 or gan.turn == gan.turns or gan.interrupted:
            self.write(trainer, "last.ckpt", before="before.ckpt")

    def improves(self, scores: dict[str, float]) -> bool:
        """Whether the monitored score is better than the best so far."""
        if self.monitor is None or not math.isfinite(scores.get(self.monitor, math.nan)):
            return False
        score = scores[self.monitor]
        return self.best is None or (score < self.best if self.mode == "min" else score > self.best)

    def write(self, trainer: Trainer, name: str, before: str | None = None) -> None:
        """Write a checkpoint under its name; the one that bore the name is kept as `before`."""
        part, path = self.folder / f"{name}.part", self.folder / name
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            sync(part)
            if before is not None and path.exists():
                path.replace(self.folder / before)
            part.replace(path)
            sync(self.folder)
        trainer.strategy.barrier()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]


def sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
