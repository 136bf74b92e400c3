"""A callback that waits to be interrupted, once."""

import signal
import time
from pathlib import Path

from lightning import Trainer

from gantry.callbacks.scalars import ScalarMonitor
from gantry.training.gan import GAN


class PausingScalars(ScalarMonitor):
    """After turn 6, say so by a file in the run's folder and wait for a signal."""

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        paused = Path(trainer.default_root_dir) / "paused"
        if gan.turn == 6 and not paused.exists():
            paused.touch()
            while signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
                time.sleep(0.01)
        super().on_turn_start(trainer, gan)
