"""Atomic file writes: a file is written completely or not at all, even when the disk is full."""

import logging
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry.errors import RunError

log = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` on success and delete it on any failure.

    Raises RunError, naming the path, when it cannot be written.
    """
    part = part or path.with_name(f"{path.name}.part")
    with report_disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise OSError(f"{path.name} is not a regular file")
            part.unlink(missing_ok=True)  # it may be a link, which writing would follow
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def find_existing_folder(path: Path) -> Path:
    """Return the path itself, or the deepest of its parents that exists; one that may not be looked into has none."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if os.access(p, os.F_OK))


def check_output_file(key: str, path: Path) -> None:
    """Raise ValueError for a path that is taken by something else than a file, such as a device or a pipe."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{key} must be a file, got {path}, which is something else")


def check_links(key: str, folder: Path, besides: Collection[str] = ()) -> None:
    """Raise ValueError for a link in a folder that leads out of it: what is written there would land elsewhere.

    Folders in it with a name in `besides` are not searched.
    """
    top = folder.resolve()
    for path in folder.rglob("*"):
        is_searched = not set(path.relative_to(folder).parts[:-1]) & set(besides)
        if is_searched and path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(top):
            raise ValueError(f"{key} must be a folder without links that lead out of it, got {path}")


@contextmanager
def report_disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a RunError that names the path."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def optional_write() -> Iterator[None]:
    """Turn a RunError inside the block into a warning: the run can continue without this file."""
    try:
        yield
    except RunError as error:
        log.warning("%s. The run continues without it", error)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; several processes may write the same file at the same time."""
    with atomic_write(path, path.with_name(f"{path.name}.{os.getpid()}.part")) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # the name of a file may be any bytes


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, from the operating system's cache to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """Delete the temporary files that a killed process left behind."""
    for part in folder.rglob("*.part"):
        part.unlink(missing_ok=True)


class ConsoleHandler(logging.StreamHandler):
    """Messages on the console; once its reader has ended (`| head`), each raises SIGPIPE, which stops a run."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            signal.raise_signal(signal.SIGPIPE)
        else:
            super().handleError(record)


class LogFile(logging.FileHandler):
    """A log file in UTF-8, whatever the locale; it drops lines silently while the disk is full."""

    def __init__(self, filename: str | Path, mode: str = "a") -> None:
        super().__init__(filename, mode, encoding="utf-8", errors="backslashreplace")  # a path may be any bytes

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
