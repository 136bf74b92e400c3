"""One process at a time trains in a run folder."""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gantry.errors import UserError
from gantry.runs.layout import LOCK_FILE

LOCK_TIMEOUT = (
    6.0  # seconds; a killed process may leave helpers that hold its lock until they notice, which takes them 5
)
NO_LOCK_ERRNOS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # a file system, shared most likely, that has no locks
log = logging.getLogger(__name__)


@contextmanager
def lock_run_folder(folder: Path, wait: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Inside, no other process trains in this folder; on one machine or, where the file system can, on any.

    The operating system holds the lock and releases it when the process dies, however it dies. Raises UserError if
    another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE, timeout=wait, fallback_to_soft=False)  # a soft one would outlive its process
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"run.dir must be a folder in which no other process trains, got {folder}") from None
    except OSError as error:
        if error.errno not in NO_LOCK_ERRNOS:
            raise
        log.warning("the file system of %s has no locks: see to it that no other process trains there", folder)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_changes(folder: Path) -> Iterator[None]:
    """Inside, no other process on this machine changes a file of the folder that both of them read and write anew.

    It is held for a moment, beside the lock of training, and leaves no file; a file system without such locks has none.
    """
    with ExitStack() as stack:
        if sys.platform != "win32":
            import fcntl

            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def check_unlocked(folder: Path) -> None:
    """Raise UserError if a process trains in this folder now."""
    if (folder / LOCK_FILE).exists():
        with lock_run_folder(folder):
            pass
