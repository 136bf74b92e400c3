"""Files that are there whole or not at all, on a disk that may be full."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry.errors import RunError

log = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Inside, a file is written under another name; then it bears the name `path` or, if anything failed, is gone.

    Raises RunError, naming the path, when it cannot be written.
    """
    part = part or path.with_name(f"{path.name}.part")
    with report_disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def report_disk_errors(path: Path) -> Iterator[None]:
    """Inside, a file is written; raises RunError, naming the path, when that cannot be done."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def optional_write() -> Iterator[None]:
    """Inside, a file is written that a run can do without: a disk that takes no more costs a warning."""
    try:
        yield
    except RunError as error:
        log.warning("%s (the run goes on without it)", error)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing; several processes may do so at a time."""
    with atomic_write(path, path.with_name(f"{path.name}.{os.getpid()}.part")) as part:
        part.write_text(text, encoding="utf-8")


def fsync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """Remove what a process that was killed had begun to write."""
    for part in folder.rglob("*.part"):
        part.unlink(missing_ok=True)


class LogFile(logging.FileHandler):
    """A log on a disk that may be full: lines that it does not take are lost, and nothing is said of each."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
