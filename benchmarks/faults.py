"""Faults to order: a callback that kills its process at a chosen moment, a loss that is poisoned at a chosen turn."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import torch
from lightning import Callback, Trainer
from torch import Tensor

from gantry.distributed import collectives
from gantry.loggers import csv_logger
from gantry.losses.penalties import gradient_penalty

CHECKPOINTS, REPLACE = "gantry.callbacks.checkpoints", Path.replace


class Fault(Callback):
    """What one of MOMENTS names happens to rank `rank` in turn `turn`, or at the next such moment."""

    def __init__(self, turn: int, moment: str = "turn", rank: int = 0) -> None:
        self.turn, self.arm, self.rank = turn, MOMENTS[moment], rank

    def on_train_batch_start(self, trainer: Trainer, gan: Any, *_: Any) -> None:
        if gan.turn + 1 == self.turn and collectives.rank() == self.rank:
            (Path(trainer.default_root_dir) / "fault").touch()  # says when
            self.arm()


def die(*_: Any) -> NoReturn:
    """End this process as a machine that goes down would."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError("alive after SIGKILL")


def half_a_checkpoint() -> None:
    """Die when half of the next checkpoint is written."""

    def write(_: Any, checkpoint: Any, path: Path, **_options: Any) -> None:
        torch.save(checkpoint, path)
        os.truncate(path, path.stat().st_size // 2)
        die()

    mock.patch(f"{CHECKPOINTS}.InPlace.save_checkpoint", write).start()


def unnamed_checkpoint() -> None:
    """Die when the next checkpoint is written and has not got its name."""
    mock.patch(f"{CHECKPOINTS}.sync", die).start()


def between_the_names() -> None:
    """Die when last.ckpt has become before.ckpt, and there is no last.ckpt yet."""

    def replace(path: Path, target: Path) -> Path:
        return die() if Path(target).name == "last.ckpt" else REPLACE(path, target)

    mock.patch("pathlib.Path.replace", replace).start()


def evaluation() -> None:
    """Die in the next evaluation."""
    mock.patch("gantry.evaluation.evaluation.Evaluation.compare", die).start()


def half_a_row() -> None:
    """Die when half of the next row of metrics.csv is written."""
    line = csv_logger._line

    def log_metrics(logger: csv_logger.CsvLogger, metrics: dict[str, float], step: int) -> None:
        row = line([step, *metrics.values()])
        with logger.path.open("a", encoding="utf-8") as file:
            file.write(row[: len(row) // 2])
        die()

    mock.patch("gantry.loggers.csv_logger.CsvLogger.log_metrics", log_metrics).start()


def terminate() -> None:
    """Be asked to end, as by a cluster whose time is up."""
    os.kill(os.getpid(), signal.SIGTERM)


def full_disk() -> None:
    """From now on no file can grow beyond 100 kB: numbers can be written, weights cannot."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))


MOMENTS: dict[str, Callable[[], Any]] = {
    "turn": die,
    "half a checkpoint": half_a_checkpoint,
    "unnamed checkpoint": unnamed_checkpoint,
    "between the names": between_the_names,
    "evaluation": evaluation,
    "half a row": half_a_row,
    "SIGTERM": terminate,
    "full disk": full_disk,
}


class Poisoned:
    """A gradient penalty that is NaN at its `at`-th call, and `count - 1` times more."""

    def __init__(self, at: int, count: int = 1) -> None:
        self.calls, self.bad = 0, range(at, at + count)

    def __call__(self, critic: Callable[[Tensor], Tensor], x_real: Tensor, x_fake: Tensor) -> Tensor:
        self.calls += 1
        penalty = gradient_penalty(critic, x_real, x_fake)
        return penalty * float("nan") if self.calls in self.bad else penalty
