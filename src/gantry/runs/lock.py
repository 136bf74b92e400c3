"""One process at a time trains in a run folder."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
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


def check_unlocked(folder: Path) -> None:
    """Raise UserError if a process trains in this folder now."""
    if (folder / LOCK_FILE).exists():
        with lock_run_folder(folder):
            pass
