"""Log numbers, images, histograms and generators to all loggers of a run that support them."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers.logger import Logger
from numpy.typing import NDArray

from gantry.errors import RunError, format_error
from gantry.values import flatten

log = logging.getLogger(__name__)
LOGGER_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
Pixels = NDArray[np.uint8]  # [H, W, 1 or 3], 0..255
FloatVector = NDArray[np.float64]  # [N]


@runtime_checkable
class LogsImages(Protocol):
    """A logger that supports images."""

    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None: ...


@runtime_checkable
class LogsHistograms(Protocol):
    """A logger that supports histograms."""

    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None: ...


@runtime_checkable
class LogsGenerators(Protocol):
    """A logger that stores files."""

    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None: ...


@runtime_checkable
class LogsSummaries(Protocol):
    """A logger with a summary: the final scores of a run."""

    def log_summary(self, numbers: Mapping[str, float]) -> None: ...


@runtime_checkable
class CanRewind(Protocol):
    """A logger that can drop the rows after the turn at which a run is resumed."""

    def rewind_to(self, turn: int) -> None: ...


@runtime_checkable
class CanClose(Protocol):
    """A logger that must be closed at the end of its run."""

    def close(self, success: bool) -> None: ...


def log_metrics(loggers: list[Logger], numbers: Mapping[str, float], turn: int, kimg: float) -> None:
    """Log the numbers of a turn."""
    call_loggers(loggers, object, lambda logger: logger.log_metrics({**numbers, "turn": turn, "kimg": kimg}, step=turn))


def log_image(loggers: list[Logger], name: str, pixels: Pixels, turn: int) -> None:
    """Log an image, uint8 [H, W, 1 or 3]."""
    call_loggers(loggers, LogsImages, lambda logger: logger.log_pixels(name, pixels, turn))


def log_histogram(loggers: list[Logger], name: str, values: FloatVector, turn: int) -> None:
    """Log a histogram of values [N], without those that are not finite."""
    values = values[np.isfinite(values)]
    if values.size:
        call_loggers(loggers, LogsHistograms, lambda logger: logger.log_histogram(name, values, turn))


def log_generator(loggers: list[Logger], folder: Path, about: Mapping[str, Any]) -> None:
    """Store the files of a generator with its metadata `about` (turn, scores, protocol)."""
    call_loggers(loggers, LogsGenerators, lambda logger: logger.log_generator(folder, about))


def log_config(loggers: list[Logger], config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Log the whole configuration under flat names, and the names of the choices: `model: dcgan`."""
    call_loggers(loggers, object, lambda logger: logger.log_hyperparams({**flatten(config, "/"), **choices}))


def log_summary(loggers: list[Logger], numbers: Mapping[str, float]) -> None:
    """Log the final scores of a run under flat names: `best/fd_digits`."""
    call_loggers(loggers, LogsSummaries, lambda logger: logger.log_summary(numbers))


def rewind_loggers(loggers: list[Logger], turn: int) -> None:
    """Drop everything that was logged after a turn."""
    call_loggers(loggers, CanRewind, lambda logger: logger.rewind_to(turn))


def close_loggers(loggers: list[Logger], success: bool) -> None:
    """Close the loggers; nothing can be logged afterwards."""
    call_loggers(loggers, CanClose, lambda logger: logger.close(success))


def call_loggers(loggers: list[Logger], kind: type, action: Callable[[Any], None]) -> None:
    """Call `action` on all loggers of a kind. A logger that fails is removed from the list with a warning, since
    training does not need it. Raises RunError if metrics.csv cannot be written."""
    for logger in [logger for logger in loggers if isinstance(logger, kind)]:
        try:
            action(logger)
        except RunError:
            raise
        except Exception as error:  # a logger's library can raise anything
            loggers.remove(logger)
            why = f"{type(error).__name__}: {format_error(error)}"
            log.warning("%s failed: %s. It is disabled for the rest of the run", type(logger).__name__, why)


def read_logger_id(path: Path) -> str | None:
    """Return the id that a file holds, under which a run is logged; None for no file, and for one without an id."""
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(100).strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not LOGGER_ID.fullmatch(text):
        log.warning("%s holds no id of a run: it is logged under a new one", path)
        return None
    return text
