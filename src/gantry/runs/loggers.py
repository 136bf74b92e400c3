"""What Gantry asks of a logger beyond numbers. One that cannot do it is passed over."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers.logger import Logger
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 1 or 3], 0..255


@runtime_checkable
class Pictures(Protocol):
    """A logger that shows pictures."""

    def log_picture(self, name: str, pixels: Pixels, turn: int) -> None: ...


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


def log_picture(loggers: Iterable[Logger], name: str, pixels: Pixels, turn: int) -> None:
    """Show a picture, uint8 [H, W, 1 or 3], wherever that is possible."""
    for logger in loggers:
        if isinstance(logger, Pictures):
            logger.log_picture(name, pixels, turn)


def log_config(loggers: Iterable[Logger], config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Tell every logger the whole configuration, flat, with the names of the choices: `model: dcgan`."""
    for logger in loggers:
        logger.log_hyperparams({**flatten(config), **choices})


def log_summary(loggers: Iterable[Logger], numbers: Mapping[str, float]) -> None:
    """Leave the numbers that a run is judged by, under flat names: `best/fd_digits`."""
    for logger in loggers:
        if isinstance(logger, Summaries):
            logger.log_summary(numbers)


def forget_after(loggers: Iterable[Logger], turn: int) -> None:
    """Drop what was logged beyond a turn."""
    for logger in loggers:
        if isinstance(logger, Rewinds):
            logger.forget_after(turn)


def close(loggers: Iterable[Logger], success: bool) -> None:
    """End what the loggers hold open; nothing can be logged afterwards."""
    for logger in loggers:
        if isinstance(logger, Closes):
            logger.close(success)


def flatten(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim/lr": 1}, so that a table of runs can filter by every key."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{above}{key}/")
        else:
            flat[f"{above}{key}"] = value
    return flat
