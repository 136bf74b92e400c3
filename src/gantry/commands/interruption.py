"""The end of a run that a signal stopped: a line says how to resume it, and the exit status is that of the signal."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from gantry.runs.checkpoint import has_checkpoint
from gantry.runs.status import write_job_end
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


@contextmanager
def report_interruption(folder: Path) -> Iterator[None]:
    """Log how to resume a run that is interrupted outside of a turn, while its report is made, say."""
    try:
        yield
    except SystemExit:
        if has_checkpoint(folder):
            log.warning("the latest checkpoint is kept. Resume with resume=%s", folder)
        raise


def exit_if_interrupted(gan: GAN, folder: Path, rank: int) -> None:
    """End the process by the signal that stopped the training, if one did."""
    if gan.run_state.interrupt_signal:
        if rank == 0:
            write_job_end(folder)
        log.warning("interrupted at turn %d. Resume with resume=%s", gan.turn, folder)
        exit_by_signal(gan.run_state.interrupt_signal)


def exit_by_signal(number: int) -> NoReturn:
    """Exit with the status of a process that a signal ended.

    Where the parent has installed a handler for the signal, raise it again first: submitit's requeues the job.
    """
    if number not in (signal.SIGINT, signal.SIGTERM) and callable(signal.getsignal(number)):
        signal.raise_signal(number)
    sys.exit(128 + number)
