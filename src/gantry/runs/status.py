"""The state of a run: who works on it, which choices it was started with, and how it ended.

`job.json` in its folder and the summary hold all of it, and only this module reads `job.json`.
"""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gantry.config.rules import BOOL_RULE, Rule
from gantry.errors import UserError
from gantry.files import write_text
from gantry.runs.layout import CONFIG_FILE, HEARTBEAT_FILES, JOB_FILE
from gantry.runs.stored_values import COUNT, MAPPING, TEXT, TEXTS, check_values, read_json
from gantry.runs.summary import read_summary

STALE_SECONDS = 600.0  # a run on another machine that wrote nothing for so long is not taken to be running

JOB_RULES: dict[str, Rule] = {
    "": MAPPING,
    "pid": COUNT,
    "host": TEXT,
    "choices": MAPPING,
    "choices.*": TEXT,
    "overrides": TEXTS,
    "failed": TEXT,
    "pruned": TEXT,
    "ended": BOOL_RULE,
}


class RunStatus(StrEnum):
    """The states in which a run can be."""

    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


@dataclass(frozen=True)
class StatusReport:
    """The state of a run, with a reason unless it is simply finished or running."""

    state: RunStatus
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else str(self.state)


@dataclass(frozen=True)
class FailedJob:
    """A job of a sweep that failed: the reason and its overrides."""

    reason: str
    overrides: tuple[str, ...]


def write_job_start(folder: Path, choices: Mapping[str, str]) -> None:
    """Record that this process starts or resumes the run; `choices` are the names chosen in each group."""
    _write_job(folder, get_process_identity() | {"choices": dict(choices)})


def write_job_end(folder: Path) -> None:
    """Record that this process has left the run before all turns were done; the process itself may live on."""
    _write_job(folder, _read_own_job(folder) | {"ended": True})


def write_job_failure(folder: Path, overrides: Sequence[str], reason: str) -> None:
    """Record that the job of the folder failed, unless the run there belongs to another process, which continues."""
    job = _read_own_job(folder)
    if (folder / CONFIG_FILE).exists() and not job.items() >= get_process_identity().items():
        return
    _write_job(folder, get_process_identity() | job | {"overrides": list(overrides), "failed": reason})


def write_job_pruning(folder: Path, reason: str) -> None:
    """Record that a search has pruned the run."""
    _write_job(folder, _read_own_job(folder) | {"pruned": reason, "ended": True})


def has_job(folder: Path) -> bool:
    """Return True if a job has started, or failed to start, in the folder."""
    return (folder / JOB_FILE).exists()


def read_choices(folder: Path) -> dict[str, str]:
    """Return the name chosen in each group, {"model": "dcgan"}; {} where that is not recorded."""
    return dict(_read_job(folder).get("choices", {}))


def read_failed_job(folder: Path) -> FailedJob | None:
    """Return the failure of the job in the folder; None if it did not fail."""
    job = _read_job(folder)
    return FailedJob(job["failed"], tuple(job.get("overrides", ()))) if "failed" in job else None


def read_run_status(folder: Path, turns: int | None, summary: Mapping[str, Any] | None = None) -> StatusReport:
    """Return the state of a run whose budget is `turns`; its summary is read unless it is given.

    Raises ValueError for a file that cannot be read.
    """
    job, turn = _read_job(folder), (read_summary(folder) if summary is None else summary).get("turns")
    if "failed" in job:
        return StatusReport(RunStatus.FAILED, str(job["failed"]))
    if turn is not None and turn >= (turns or 0):
        return StatusReport(RunStatus.FINISHED)
    if "pruned" in job:
        return StatusReport(RunStatus.PRUNED, str(job["pruned"]))
    if _is_alive(folder, job):
        return StatusReport(RunStatus.RUNNING)
    return StatusReport(RunStatus.INTERRUPTED, "before its end" if turn is None else f"at turn {turn:,} of {turns:,}")


def read_finished_turns(folder: Path) -> int | None:
    """Return the turns of a run that has done all that follows them, None for another one.

    Raises ValueError as `read_run_status`.
    """
    turns: int | None = read_summary(folder).get("turns")
    return None if {"ended", "failed"} & _read_job(folder).keys() else turns


def pid_exists(pid: int) -> bool:
    """Return True if a process with this number exists."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def get_process_identity() -> dict[str, Any]:
    """Return the number of this process and the name of its machine."""
    return {"pid": os.getpid(), "host": platform.node()}


def _is_alive(folder: Path, job: Mapping[str, Any]) -> bool:
    """Return True if the process of a run is alive or, on another machine, has written something recently."""
    if job.get("ended"):
        return False
    if job.get("host") == platform.node():
        return pid_exists(job.get("pid", 0))
    written = [path.stat().st_mtime for path in (folder / name for name in HEARTBEAT_FILES) if path.exists()]
    return time.time() - max(written, default=0.0) < STALE_SECONDS


def _read_job(folder: Path) -> dict[str, Any]:
    """Return the content of job.json; {} where there is none or it is not JSON. Raises UserError for other content."""
    path = folder / JOB_FILE
    try:
        job = read_json(path) if path.is_file() else {}
    except UserError:
        return {}
    check_values(path, job or {}, JOB_RULES)
    return job or {}


def _read_own_job(folder: Path) -> dict[str, Any]:
    """Return the content of job.json to add to; {} where it cannot be used."""
    try:
        return _read_job(folder)
    except UserError:
        return {}


def _write_job(folder: Path, job: Mapping[str, Any]) -> None:
    write_text(folder / JOB_FILE, json.dumps(job, indent=2) + "\n")
