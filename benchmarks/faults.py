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

CHECKPOINTS_MODULE, PATH_REPLACE = "gantry.callbacks.checkpoints", Path.replace


class FaultInjector(Callback):
    """What one of MOMENTS names happens to rank `rank` in turn `turn`, or at the next such moment."""

    def __init__(self, turn: int, moment: str = "turn", rank: int = 0) -> None:
        self.turn, self.inject, self.rank = turn, FAULTS[moment], rank

    def on_train_batch_start(self, trainer: Trainer, gan: Any, *_: Any) -> None:
        if gan.turn + 1 == self.turn and collectives.rank() == self.rank:
            (Path(trainer.default_root_dir) / "fault").touch()  # says when
            self.inject()


def kill_process(*_: Any) -> NoReturn:
    """End this process as a machine that goes down would."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError("alive after SIGKILL")


def kill_in_checkpoint_write() -> None:
    """Die when half of the next checkpoint is written."""

    def write(_: Any, checkpoint: Any, path: Path, **_options: Any) -> None:
        torch.save(checkpoint, path)
        os.truncate(path, path.stat().st_size // 2)
        kill_process()

    mock.patch(f"{CHECKPOINTS_MODULE}.InPlace.save_checkpoint", write).start()


def kill_before_checkpoint_rename() -> None:
    """Die when the next checkpoint is written and has not got its name."""
    mock.patch(f"{CHECKPOINTS_MODULE}.sync", kill_process).start()


def kill_between_renames() -> None:
    """Die when last.ckpt has become before.ckpt, and there is no last.ckpt yet."""

    def replace(path: Path, target: Path) -> Path:
        return kill_process() if Path(target).name == "last.ckpt" else PATH_REPLACE(path, target)

    mock.patch("pathlib.Path.replace", replace).start()


def kill_in_evaluation() -> None:
    """Die in the next evaluation."""
    mock.patch("gantry.evaluation.evaluation.Evaluation.compare", kill_process).start()


def kill_in_metrics_row() -> None:
    """Die when half of the next row of metrics.csv is written."""
    line = csv_logger._format_row

    def log_metrics(logger: csv_logger.CsvLogger, metrics: dict[str, float], step: int) -> None:
        row = line([step, *metrics.values()])
        with logger.path.open("a", encoding="utf-8") as file:
            file.write(row[: len(row) // 2])
        kill_process()

    mock.patch("gantry.loggers.csv_logger.CsvLogger.log_metrics", log_metrics).start()


def send_sigterm() -> None:
    """Be asked to end, as by a cluster whose time is up."""
    os.kill(os.getpid(), signal.SIGTERM)


def fill_disk() -> None:
    """From now on no file can grow beyond 100 kB: numbers can be written, weights cannot."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))


FAULTS: dict[str, Callable[[], Any]] = {
    "turn": kill_process,
    "half a checkpoint": kill_in_checkpoint_write,
    "unnamed checkpoint": kill_before_checkpoint_rename,
    "between the names": kill_between_renames,
    "evaluation": kill_in_evaluation,
    "half a row": kill_in_metrics_row,
    "SIGTERM": send_sigterm,
    "full disk": fill_disk,
}


class NanPenalty:
    """A gradient penalty that is NaN at its `at`-th call, and `count - 1` times more."""

    def __init__(self, at: int, count: int = 1) -> None:
        self.calls, self.nan_calls = 0, range(at, at + count)

    def __call__(self, critic: Callable[[Tensor], Tensor], x_real: Tensor, x_fake: Tensor) -> Tensor:
        self.calls += 1
        penalty = gradient_penalty(critic, x_real, x_fake)
        return penalty * float("nan") if self.calls in self.nan_calls else penalty
