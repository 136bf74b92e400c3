"""Fault injection: a callback that kills its process at a given moment, and a penalty that becomes NaN."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import torch
from lightning import Trainer
from torch import Tensor

from gantry.callbacks import checkpoints
from gantry.callbacks.gan_callback import GanCallback
from gantry.distributed import collectives
from gantry.evaluation.evaluation import Evaluation
from gantry.loggers.csv_logger import CsvLogger, _format_row
from gantry.losses.penalties import gradient_penalty
from gantry.losses.update import Update
from gantry.training.gan import GAN

PATH_REPLACE = Path.replace


class FaultInjector(GanCallback):
    """Injects one of FAULTS on rank `rank` at the start of turn `turn`."""

    def __init__(self, turn: int, moment: str = "turn", rank: int = 0) -> None:
        self.turn, self.inject, self.rank = turn, FAULTS[moment], rank

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        if gan.turn + 1 == self.turn and collectives.rank() == self.rank:
            (Path(trainer.default_root_dir) / "fault").touch()  # its time is that of the fault
            self.inject()


def kill_process(*_: Any) -> NoReturn:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError("alive after SIGKILL")


def kill_in_checkpoint_write() -> None:
    """Kill this process when half of the next checkpoint is written."""

    def write(_: Any, checkpoint: Any, path: Path, **_options: Any) -> None:
        torch.save(checkpoint, path)
        os.truncate(path, path.stat().st_size // 2)
        kill_process()

    mock.patch.object(checkpoints.InPlaceCheckpointIO, "save_checkpoint", write).start()


def kill_before_checkpoint_rename() -> None:
    """Kill this process when the next checkpoint is written but not yet renamed."""
    mock.patch.object(checkpoints, "fsync", kill_process).start()


def kill_between_renames() -> None:
    """Kill this process when last.ckpt has been renamed to before.ckpt and there is no last.ckpt yet."""

    def replace(path: Path, target: Path) -> Path:
        return kill_process() if Path(target).name == "last.ckpt" else PATH_REPLACE(path, target)

    mock.patch.object(Path, "replace", replace).start()


def kill_in_evaluation() -> None:
    """Kill this process in the next evaluation."""
    mock.patch.object(Evaluation, "compute_scores", kill_process).start()


def kill_in_metrics_row() -> None:
    """Kill this process when half of the next row of metrics.csv is written."""

    def log_metrics(logger: CsvLogger, metrics: dict[str, float], step: int) -> None:
        row = _format_row([step, *metrics.values()])
        with logger.path.open("a", encoding="utf-8") as file:
            file.write(row[: len(row) // 2])
        kill_process()

    mock.patch.object(CsvLogger, "log_metrics", log_metrics).start()


def send_sigterm() -> None:
    """Send SIGTERM to this process, as a cluster does at the end of the time limit."""
    os.kill(os.getpid(), signal.SIGTERM)


def fill_disk() -> None:
    """Limit all files to 100 kB: numbers can still be written, weights cannot."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))


FAULTS: dict[str, Callable[[], Any]] = {
    "turn": kill_process,
    "half a checkpoint": kill_in_checkpoint_write,
    "before the rename": kill_before_checkpoint_rename,
    "between the renames": kill_between_renames,
    "evaluation": kill_in_evaluation,
    "half a row": kill_in_metrics_row,
    "SIGTERM": send_sigterm,
    "full disk": fill_disk,
}


class NanPenalty:
    """A gradient penalty that is NaN at `count` calls, beginning with the `at`-th."""

    def __init__(self, at: int, count: int = 1) -> None:
        self.calls, self.nan_calls = 0, range(at, at + count)

    def __call__(self, update: Update) -> Tensor:
        self.calls += 1
        penalty = gradient_penalty(update)
        return penalty * float("nan") if self.calls in self.nan_calls else penalty
