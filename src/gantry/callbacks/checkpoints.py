"""Checkpoints of the whole training state: the last two, and the best by the monitored score."""

import io
import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO

from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.callbacks.health import HealthCheck
from gantry.callbacks.signals import SignalHandler
from gantry.files import atomic_write, fsync
from gantry.runs.checkpoint import seal_archive
from gantry.runs.layout import BEST_CHECKPOINT, LAST_CHECKPOINT, PREVIOUS_CHECKPOINT
from gantry.training.finite import is_state_finite
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class CheckpointWriter(GanCallback):
    """Writes `last.ckpt` every `every` turns and at the end, and `best.ckpt` when the monitored score improves:
    `Evaluator.is_improvement` decides whether it does.

    The previous `last.ckpt` is kept as `before.ckpt`. A checkpoint is written to a temporary file with a checksum,
    synced and renamed: `last.ckpt` is complete whenever the program dies. A state that is not finite is never written.
    Raises RunError if the disk is full; earlier checkpoints are untouched.
    """

    after = (HealthCheck, Evaluator, SignalHandler)

    def __init__(self, folder: str, every: int) -> None:
        self.folder, self.every = Path(folder), every
        self.last_turn, self.best_turn = -1, -1  # of the latest checkpoints

    def on_setup(self, trainer: Trainer, gan: GAN) -> None:
        trainer.strategy.checkpoint_io = InPlaceCheckpointIO()

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.last_turn = gan.run_state.saved_at = gan.turn or -1  # a resumed run has a checkpoint of this turn

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.write_best(trainer, gan)
        if gan.is_due(self.every) or gan.run_state.interrupt_signal:
            self.write_last(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.write_best(trainer, gan)
        self.write_last(trainer, gan)

    def write_best(self, trainer: Trainer, gan: GAN) -> None:
        """Write best.ckpt if this turn has the best score and is not written yet."""
        if gan.run_state.improved_at == gan.turn != self.best_turn:
            self.best_turn = gan.turn
            self.write_checkpoint(trainer, gan, BEST_CHECKPOINT)

    def write_last(self, trainer: Trainer, gan: GAN) -> None:
        """Write last.ckpt if this turn is not written yet."""
        if gan.turn != self.last_turn:
            self.last_turn = gan.turn
            self.write_checkpoint(trainer, gan, LAST_CHECKPOINT, before=PREVIOUS_CHECKPOINT)

    def write_checkpoint(self, trainer: Trainer, gan: GAN, name: str, before: str | None = None) -> None:
        """Write a checkpoint and keep its predecessor as `before`; every rank must call it."""
        path = self.folder / name
        if not is_state_finite(gan, trainer.optimizers):
            log.warning("%s not written: non-finite values at turn %d", path, gan.turn)
        elif trainer.is_global_zero:
            with atomic_write(path) as part:
                trainer.save_checkpoint(part, weights_only=False)
                fsync(part)
                if before is not None and path.exists():
                    path.replace(self.folder / before)
            fsync(self.folder)
            gan.run_state.saved_at = max(gan.run_state.saved_at, gan.turn if name == LAST_CHECKPOINT else -1)
        else:
            trainer.save_checkpoint(path, weights_only=False)  # writes nothing, but waits for rank 0
        trainer.strategy.barrier()


class InPlaceCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint at its path.

    Lightning's own writes to the system's folder for temporary files and copies the file if that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        assert storage_options is None
        buffer = io.BytesIO()  # on a full disk torch.save reports only an unexpected position
        torch.save(checkpoint, buffer)
        with Path(path).open("wb") as file:
            file.writelines(seal_archive(buffer.getbuffer()))
