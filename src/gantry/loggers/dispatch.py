"""Log to all loggers of a run: numbers, images, histograms, generators. A logger that cannot is skipped."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers.logger import Logger
from numpy.typing import NDArray

from gantry.errors import RunError, format_error
from gantry.values import flatten

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]  # [H, W, 1 or 3], 0..255
FloatVector = NDArray[np.float64]  # [N]


@runtime_checkable
class LogsImages(Protocol):
    """A logger that shows pictures."""

    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None: ...


@runtime_checkable
class LogsHistograms(Protocol):
    """A logger that shows how numbers are spread."""

    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None: ...


@runtime_checkable
class LogsGenerators(Protocol):
    """A logger that takes files into its keeping."""

    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None: ...


@runtime_checkable
class LogsSummaries(Protocol):
    """A logger that has a place for the numbers that a run is judged by."""

    def log_summary(self, numbers: Mapping[str, float]) -> None: ...


@runtime_checkable
class CanRewind(Protocol):
    """A logger that can drop what lies beyond the turn at which a run is resumed."""

    def rewind_to(self, turn: int) -> None: ...


@runtime_checkable
class CanClose(Protocol):
    """A logger that must be told when its run is over."""

    def close(self, success: bool) -> None: ...


def log_metrics(loggers: list[Logger], numbers: Mapping[str, float], turn: int, kimg: float) -> None:
    """Add numbers to what is known of a turn."""
    call_loggers(loggers, object, lambda logger: logger.log_metrics({**numbers, "turn": turn, "kimg": kimg}, step=turn))


def log_image(loggers: list[Logger], name: str, pixels: Pixels, turn: int) -> None:
    """Show a picture, uint8 [H, W, 1 or 3], wherever that is possible."""
    call_loggers(loggers, LogsImages, lambda logger: logger.log_pixels(name, pixels, turn))


def log_histogram(loggers: list[Logger], name: str, values: FloatVector, turn: int) -> None:
    """Show how values [N] are spread, wherever that is possible. Those that are not finite are left out."""
    values = values[np.isfinite(values)]
    if values.size:
        call_loggers(loggers, LogsHistograms, lambda logger: logger.log_histogram(name, values, turn))


def log_generator(loggers: list[Logger], folder: Path, about: Mapping[str, Any]) -> None:
    """Keep the files of a generator with what is known of it (turn, scores, protocol), wherever that is possible."""
    call_loggers(loggers, LogsGenerators, lambda logger: logger.log_generator(folder, about))


def log_config(loggers: list[Logger], config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Tell every logger the whole configuration, flat, with the names of the choices: `model: dcgan`."""
    call_loggers(loggers, object, lambda logger: logger.log_hyperparams({**flatten(config, "/"), **choices}))


def log_summary(loggers: list[Logger], numbers: Mapping[str, float]) -> None:
    """Leave the numbers that a run is judged by, under flat names: `best/fd_digits`."""
    call_loggers(loggers, LogsSummaries, lambda logger: logger.log_summary(numbers))


def rewind_loggers(loggers: list[Logger], turn: int) -> None:
    """Drop what was logged beyond a turn."""
    call_loggers(loggers, CanRewind, lambda logger: logger.rewind_to(turn))


def close_loggers(loggers: list[Logger], success: bool) -> None:
    """End what the loggers hold open; nothing can be logged afterwards."""
    call_loggers(loggers, CanClose, lambda logger: logger.close(success))


def call_loggers(loggers: list[Logger], kind: type, tell: Callable[[Any], None]) -> None:
    """Tell something to all loggers of a kind. One that fails is taken off the list, with a warning: whatever became
    of its server or its disk, training does not need it. Raises RunError when metrics.csv cannot be written."""
    for logger in [logger for logger in loggers if isinstance(logger, kind)]:
        try:
            tell(logger)
        except RunError:
            raise
        except Exception as error:  # of any library, and of whatever it talks to
            loggers.remove(logger)
            why = f"{type(error).__name__}: {format_error(error)}"
            log.warning("%s failed: %s. It is disabled for the rest of the run", type(logger).__name__, why)
