"""Stop a run after the current turn, with a checkpoint, on a signal or when nobody reads its output any more."""

import contextlib
import logging
import os
import signal
from types import FrameType
from typing import Any

import torch
from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.training.gan import GAN
from gantry.training.run_state import RunState

STOP_SIGNALS = (  # of two, the later one here counts
    *(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2),
)
log = logging.getLogger(__name__)


class SignalHandler(GanCallback):
    """Asks all ranks to stop together at the first signal; the same one again ends the process at once.

    SIGHUP comes when the terminal is closed (nohup has it ignored), SIGPIPE when the reader of the output has ended.
    Clusters send SIGUSR1 or SIGUSR2 before the end of a job's time: the exit status, 128 + the signal, tells a script
    whether to queue the job again. Lightning's own handler would communicate with the other ranks inside the signal
    handler, in the middle of another collective.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.received: set[int] = set()
        self.folder, self.run_state = "", RunState()
        self.previous_handlers: dict[int, Any] = {}

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.folder, self.run_state = trainer.default_root_dir, gan.run_state
        numbers = [number for number in STOP_SIGNALS if not is_ignored_hangup(number)]
        self.previous_handlers = {number: signal.signal(number, self.handle_signal) for number in numbers}

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Store the signal; end at once at the second."""
        name = signal.Signals(number).name
        if number in self.received and number != signal.SIGPIPE:  # which each further line of output raises
            if collectives.rank() == 0:
                line = f"{name} again: ended at once. {describe_kept(self.folder, self.run_state)}\n"
                with contextlib.suppress(OSError):  # the terminal may be gone
                    os.write(2, line.encode(errors="backslashreplace"))
            os._exit(128 + number)
        if number not in self.received:
            self.received.add(number)
            self.signal = max(self.signal, number, key=signal_index)
            log.warning("%s received: stopping after this turn", name)

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


def is_ignored_hangup(number: int) -> bool:
    """Return True for the signal of a closed terminal where it is ignored, as under nohup."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def describe_kept(folder: str, run_state: RunState) -> str:
    """Return what is left of a run that ends now."""
    if run_state.saved_at < 0:
        return "There is no checkpoint yet"
    return f"The checkpoint of turn {run_state.saved_at} is kept. Resume with resume={folder}"


def signal_index(number: int) -> int:
    """Return the position of a signal in STOP_SIGNALS, from 1; 0 for no signal."""
    return (0, *STOP_SIGNALS).index(number)
