"""What Gantry asks of a logger beyond numbers. One that cannot do it is passed over."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers.logger import Logger
from numpy.typing import NDArray

from gantry.errors import RunError, one_line
from gantry.values import flat

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]  # [H, W, 1 or 3], 0..255
Numbers = NDArray[np.float64]  # [N]


@runtime_checkable
class Pictures(Protocol):
    """A logger that shows pictures."""

    def log_picture(self, name: str, pixels: Pixels, turn: int) -> None: ...


@runtime_checkable
class Histograms(Protocol):
    """A logger that shows how numbers are spread."""

    def log_histogram(self, name: str, values: Numbers, turn: int) -> None: ...


@runtime_checkable
class Keeps(Protocol):
    """A logger that takes files into its keeping."""

    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Summaries(Protocol):
    """A logger that has a place for the numbers that a run is judged by."""

    def log_summary(self, numbers: Mapping[str, float]) -> None: ...


@runtime_checkable
class Rewinds(Protocol):
    """A logger that can drop what lies beyond the turn at which a run is resumed."""

    def forget_after(self, turn: int) -> None: ...


@runtime_checkable
class Closes(Protocol):
    """A logger that must be told when its run is over."""

    def close(self, success: bool) -> None: ...


def log_numbers(loggers: list[Logger], numbers: Mapping[str, float], turn: int, kimg: float) -> None:
    """Add numbers to what is known of a turn."""
    for_each(loggers, object, lambda logger: logger.log_metrics({**numbers, "turn": turn, "kimg": kimg}, step=turn))


def log_picture(loggers: list[Logger], name: str, pixels: Pixels, turn: int) -> None:
    """Show a picture, uint8 [H, W, 1 or 3], wherever that is possible."""
    for_each(loggers, Pictures, lambda logger: logger.log_picture(name, pixels, turn))


def log_histogram(loggers: list[Logger], name: str, values: Numbers, turn: int) -> None:
    """Show how values [N] are spread, wherever that is possible. Those that are not finite are left out."""
    values = values[np.isfinite(values)]
    if values.size:
        for_each(loggers, Histograms, lambda logger: logger.log_histogram(name, values, turn))


def log_generator(loggers: list[Logger], folder: Path, about: Mapping[str, Any]) -> None:
    """Keep the files of a generator with what is known of it (turn, scores, protocol), wherever that is possible."""
    for_each(loggers, Keeps, lambda logger: logger.log_generator(folder, about))


def log_config(loggers: list[Logger], config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Tell every logger the whole configuration, flat, with the names of the choices: `model: dcgan`."""
    for_each(loggers, object, lambda logger: logger.log_hyperparams({**flat(config, "/"), **choices}))


def log_summary(loggers: list[Logger], numbers: Mapping[str, float]) -> None:
    """Leave the numbers that a run is judged by, under flat names: `best/fd_digits`."""
    for_each(loggers, Summaries, lambda logger: logger.log_summary(numbers))


def forget_after(loggers: list[Logger], turn: int) -> None:
    """Drop what was logged beyond a turn."""
    for_each(loggers, Rewinds, lambda logger: logger.forget_after(turn))


def close(loggers: list[Logger], success: bool) -> None:
    """End what the loggers hold open; nothing can be logged afterwards."""
    for_each(loggers, Closes, lambda logger: logger.close(success))


def for_each(loggers: list[Logger], kind: type, tell: Callable[[Any], None]) -> None:
    """Tell something to all loggers of a kind. One that fails is taken off the list, with a warning: whatever became
    of its server or its disk, training does not need it. Raises RunError when metrics.csv cannot be written."""
    for logger in [logger for logger in loggers if isinstance(logger, kind)]:
        try:
            tell(logger)
        except RunError:
            raise
        except Exception as error:  # of any library, and of whatever it talks to
            loggers.remove(logger)
            why = f"{type(error).__name__}: {one_line(error)}"
            log.warning("%s fails and is told no more: %s", type(logger).__name__, why)
