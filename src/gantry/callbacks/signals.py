"""Stop a run after the current turn, with a checkpoint, on SIGTERM, SIGINT, SIGUSR1 or SIGUSR2."""

import logging
import signal
from types import FrameType
from typing import Any

import torch
from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.training.gan import GAN

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # of two, the later one here counts
log = logging.getLogger(__name__)


class SignalHandler(GanCallback):
    """Asks all ranks to stop together at the first signal; a second one kills.

    Clusters send SIGUSR1 or SIGUSR2 before the end of a job's time: the exit status, 128 + the signal, tells a script
    whether to queue the job again. Lightning's own handler would communicate with the other ranks inside the signal
    handler, in the middle of another collective.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.previous_handlers: dict[int, Any] = {}

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.previous_handlers = {number: signal.signal(number, self.handle_signal) for number in STOP_SIGNALS}

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Store the signal, and restore the default effect of the next one."""
        self.signal = max(self.signal, number, key=signal_index)
        signal.signal(number, signal.SIG_DFL)
        log.warning("%s received: stopping after this turn", signal.Signals(number).name)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if collectives.world_size() > 1:
            index = torch.tensor(signal_index(self.signal), device=gan.device)
            torch.distributed.all_reduce(index, torch.distributed.ReduceOp.MAX)
            self.signal = (0, *STOP_SIGNALS)[int(index)]
        if self.signal:
            gan.run_state.interrupt_signal = self.signal
            trainer.should_stop = True

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        self.restore_handlers()  # no turn follows that could react to a signal

    def on_teardown(self, trainer: Trainer, gan: GAN) -> None:
        self.restore_handlers()

    def restore_handlers(self) -> None:
        """Restore the handlers from before the run."""
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
        self.previous_handlers = {}


def signal_index(number: int) -> int:
    """Return the position of a signal in STOP_SIGNALS, from 1; 0 for no signal."""
    return (0, *STOP_SIGNALS).index(number)
