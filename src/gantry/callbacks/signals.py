"""SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 end a run at the end of a turn, with a checkpoint of it."""

import logging
import signal
from types import FrameType
from typing import Any

import torch
from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.training.gan import GAN

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # the later counts when two have come
log = logging.getLogger(__name__)


class SignalHandler(GanCallback):
    """The first signal asks for a stop that all processes make together, a second one kills. Comes before Checkpoints.

    Clusters send SIGUSR1 or SIGUSR2 ahead of the end of a job's time: the exit status, 128 + the signal, tells a script
    whether to queue the job again.

    Lightning's own handler would talk to the other processes from inside the signal, in the middle of whatever
    they are telling each other.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.previous_handlers: dict[int, Any] = {}

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.previous_handlers = {number: signal.signal(number, self.handle_signal) for number in STOP_SIGNALS}

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; the next one has its usual effect."""
        self.signal = max(self.signal, number, key=signal_index)
        signal.signal(number, signal.SIG_DFL)
        log.warning("%s: stopping after this turn", signal.Signals(number).name)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if collectives.world_size() > 1:
            asked = torch.tensor(signal_index(self.signal), device=gan.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            self.signal = (0, *STOP_SIGNALS)[int(asked)]
        if self.signal:
            gan.interrupt_signal = self.signal
            trainer.should_stop = True

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.restore_handlers()  # no turn follows at whose end a signal would be heeded

    def on_teardown(self, trainer: Trainer, gan: GAN) -> None:
        self.restore_handlers()

    def restore_handlers(self) -> None:
        """Give the signals their usual effect again."""
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
        self.previous_handlers = {}


def signal_index(number: int) -> int:
    """Of a signal among those that stop a run, from 1 on; 0 for none."""
    return (0, *STOP_SIGNALS).index(number)
