"""Callbacks that wait to be interrupted, or are killed, once."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.gan_callback import get_callbacks
from gantry.callbacks.report import FinalReport
from gantry.callbacks.scalars import ScalarMonitor
from gantry.callbacks.signals import SignalHandler
from gantry.training.gan import GAN


class PausingScalars(ScalarMonitor):
    """After turn 6, say so by a file in the run's folder and wait for a signal."""

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        paused = Path(trainer.default_root_dir) / "paused"
        if gan.turn == 6 and not paused.exists():
            paused.touch()
            (handler,) = (one for one in get_callbacks(trainer) if isinstance(one, SignalHandler))
            while not handler.signal:
                time.sleep(0.01)
        super().on_turn_start(trainer, gan)


class KilledReport(FinalReport):
    """Kills its process when the scores of the first report are there but not yet written."""

    def score_checkpoints(self, trainer: Trainer, *args: Any) -> dict[str, dict[str, Any]]:
        entries = super().score_checkpoints(trainer, *args)
        killed = self.folder / "killed"
        if not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return entries


class SleepingScalars(ScalarMonitor):
    """After turn 6, write a file into the run's folder and sleep."""

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        if gan.turn == 6:
            (Path(trainer.default_root_dir) / "paused").touch()
            time.sleep(600)
        super().on_turn_start(trainer, gan)
