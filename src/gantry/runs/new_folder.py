"""The folder of a new run: it must not hold results of an earlier one; a start that failed leaves none."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from gantry.errors import UserError
from gantry.files import find_existing_folder
from gantry.runs.checkpoint import has_checkpoint
from gantry.runs.layout import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    GENERATORS_FOLDER,
    JOB_FILE,
    LOCK_FILE,
    LOG_FILE,
    LOGGER_ID_FILE,
    METRICS_FILE,
    MLFLOW_FOLDER,
    PLOTS_FOLDER,
    SAMPLES_FOLDER,
    SUMMARY_FILE,
    TENSORBOARD_FOLDER,
    WANDB_FOLDER,
)
from gantry.runs.lock import lock_run_folder
from gantry.runs.summary import read_summary


def check_new_folder(folder: Path) -> None:
    """Raise UserError if the folder is that of an earlier run, which a new run must not overwrite."""
    if has_results(folder):
        remedy = f"use resume={folder} to resume it" if has_checkpoint(folder) else "delete it: it has no checkpoint"
        raise UserError(f"run.name must be new (or {remedy}), got the folder {folder} of an earlier run")


def check_writable(key: str, folder: Path) -> None:
    """Raise UserError unless a folder can be made, or can be written to where there is one."""
    if reason := find_obstacle(folder):
        raise UserError(f"{key} must be a folder that can be written, got {folder}: {reason}")


def check_output_writable(key: str, path: Path) -> None:
    """Raise UserError unless a file or a folder can be made at a path."""
    if reason := find_obstacle(path.parent):
        raise UserError(f"{key} must be where a file can be written, got {path}: {reason}")


def find_obstacle(folder: Path) -> str:
    """Return why nothing can be written into a folder; "" if it can, or if the folder can be made."""
    parent = find_existing_folder(folder)
    if not parent.is_dir():
        return f"{parent} is {'a file' if parent.is_file() else 'not a folder'}"
    return "" if os.access(parent, os.W_OK | os.X_OK) else f"{parent} is read-only"


def check_resumed_folder(folder: Path) -> None:
    """Raise UserError unless the folder of a run can be written to, and those of what it must not lose."""
    for path in (folder, folder / CHECKPOINTS_FOLDER, *sorted((folder / GENERATORS_FOLDER).glob("*"))):
        check_writable("resume", path)


def has_results(folder: Path) -> bool:
    """Return True if a run left more than its start: a checkpoint, a generator, or numbers of a turn."""
    from gantry.runs.metrics_csv import read_rows  # NumPy takes a tenth of a second, a refusal half of one

    if any(path.is_file() for name in (CHECKPOINTS_FOLDER, GENERATORS_FOLDER) for path in (folder / name).rglob("*")):
        return True
    try:
        return "turns" in read_summary(folder) or any(row["turn"] > 0 for row in read_rows(folder / METRICS_FILE))
    except UserError:  # of files that cannot be read nobody knows
        return True


def remove_failed_start(folder: Path) -> None:
    """Delete the files of a run that ended before its first checkpoint; its log is continued."""
    for name in (CONFIG_FILE, METRICS_FILE, SUMMARY_FILE, JOB_FILE):
        (folder / name).unlink(missing_ok=True)
    for name in (WANDB_FOLDER, MLFLOW_FOLDER):  # the new run gets an id of its own
        (folder / name / LOGGER_ID_FILE).unlink(missing_ok=True)
    for name in (SAMPLES_FOLDER, PLOTS_FOLDER, TENSORBOARD_FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)


def remove_unused_folder(folder: Path) -> None:
    """Delete a folder that holds nothing but an empty log and a lock: its command was refused.

    A run that is still reading its data has left no more than that, but it holds the lock.
    """
    if not folder.is_dir() or folder.resolve() == Path.cwd() or not any(folder.iterdir()):
        return
    with suppress(UserError), lock_run_folder(folder, wait=0):
        files = list(folder.iterdir())
        if all(path.name == LOCK_FILE or (path.suffix == Path(LOG_FILE).suffix and is_empty(path)) for path in files):
            for path in files:
                path.unlink(missing_ok=True)
            folder.rmdir()


def is_empty(path: Path) -> bool:
    """Return True for a file without content."""
    return path.is_file() and path.stat().st_size == 0
