"""Whole training states on disk: the last two, and the best by the monitored score."""

import io
import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.files import atomic_write, fsync
from gantry.runs.checkpoint import seal_archive
from gantry.runs.layout import BEST_CHECKPOINT, LAST_CHECKPOINT, PREVIOUS_CHECKPOINT
from gantry.training.finite import is_state_finite
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class CheckpointWriter(GanCallback):
    """`last.ckpt` every `every` turns and at the end, `before.ckpt` its predecessor, `best.ckpt` when a score improves.

    A checkpoint is written to a temporary file, with a checksum, synced and renamed: whenever the program dies, what
    `last.ckpt` names is whole. A state that is not finite is never written. Comes after the Evaluate callback, which
    says what the best turn is. Raises RunError when the disk takes no more; the earlier checkpoints are as they were.
    """

    def __init__(self, folder: str, every: int) -> None:
        self.folder, self.every = Path(folder), every
        self.last_turn, self.best_turn = -1, -1  # turns that were written

    def on_setup(self, trainer: Trainer, gan: GAN) -> None:
        trainer.strategy.checkpoint_io = InPlaceCheckpointIO()

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.write_best(trainer, gan)
        if gan.is_due(self.every) or gan.interrupt_signal:
            self.write_last(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.write_best(trainer, gan)
        self.write_last(trainer, gan)

    def write_best(self, trainer: Trainer, gan: GAN) -> None:
        """Write this turn as the best one, if it is and has not been written."""
        if gan.improved_at == gan.turn != self.best_turn:
            self.best_turn = gan.turn
            self.write_checkpoint(trainer, gan, BEST_CHECKPOINT)

    def write_last(self, trainer: Trainer, gan: GAN) -> None:
        """Write this turn as the last one, if it has not been written."""
        if gan.turn != self.last_turn:
            self.last_turn = gan.turn
            self.write_checkpoint(trainer, gan, LAST_CHECKPOINT, before=PREVIOUS_CHECKPOINT)

    def write_checkpoint(self, trainer: Trainer, gan: GAN, name: str, before: str | None = None) -> None:
        """Write a checkpoint under its name; the one that bore the name is kept as `before`."""
        path = self.folder / name
        if not is_state_finite(gan, trainer.optimizers):
            log.warning("%s is left as it is: the state of turn %d is not finite", path, gan.turn)
        elif trainer.is_global_zero:
            with atomic_write(path) as part:
                trainer.save_checkpoint(part, weights_only=False)
                fsync(part)
                if before is not None and path.exists():
                    path.replace(self.folder / before)
            fsync(self.folder)
        else:
            trainer.save_checkpoint(path, weights_only=False)  # writes nothing, but waits for the one that does
        trainer.strategy.barrier()


class InPlaceCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint where it is told. Lightning's own goes through the system's folder for temporary files,
    from where a file is copied if that is on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        assert storage_options is None
        buffer = io.BytesIO()  # torch says of a full disk only that it wrote at an unexpected position
        torch.save(checkpoint, buffer)
        with Path(path).open("wb") as file:
            file.writelines(seal_archive(buffer.getbuffer()))
