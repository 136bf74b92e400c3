"""Whole training states on disk: the last two, and the best by the monitored score."""

import os
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from gantry.training.gan import GAN


class Checkpoints(Callback):
    """`last.ckpt` every `every` turns and at the end, `before.ckpt` its predecessor, `best.ckpt` when a score improves.

    A checkpoint is written to a temporary file, synced and renamed: whenever the program dies, what `last.ckpt`
    names is whole. Comes after the Evaluate callback, which says what the best turn is.
    """

    def __init__(self, folder: str, every: int) -> None:
        self.folder, self.every = Path(folder), every
        self.last_at, self.best_at = -1, -1  # turns that were written

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        self.write_best(trainer, gan)
        if gan.turn % self.every == 0 or gan.turn == gan.turns or gan.interrupted:
            self.write_last(trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.write_best(trainer, gan)
        self.write_last(trainer, gan)

    def write_best(self, trainer: Trainer, gan: GAN) -> None:
        """Write this turn as the best one, if it is and has not been written."""
        if gan.improved_at == gan.turn != self.best_at:
            self.best_at = gan.turn
            self.write(trainer, "best.ckpt")

    def write_last(self, trainer: Trainer, gan: GAN) -> None:
        """Write this turn as the last one, if it has not been written."""
        if gan.turn != self.last_at:
            self.last_at = gan.turn
            self.write(trainer, "last.ckpt", before="before.ckpt")

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


def sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
