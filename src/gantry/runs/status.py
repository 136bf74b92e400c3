"""`job.json` in a run's folder: who works on it and what it was told; what has become of the run is read from it."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gantry.files import write_text

JOB_FILE = "job.json"
STALE_SECONDS = 600.0  # seconds without a sign of life after which a run elsewhere is not taken to be going on
HEARTBEAT_FILES = ("metrics.csv", "train.log", "summary.json", "config.yaml")


class RunStatus(StrEnum):
    """What has become of a run."""

    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


@dataclass(frozen=True)
class StatusReport:
    """The state of a run and, where it is not simply finished, a reason in words."""

    state: RunStatus
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else str(self.state)


def write_job_start(folder: Path, choices: Mapping[str, str]) -> None:
    """This process begins, or goes on with, the run of the folder; `choices` are the names chosen in each group."""
    write_text(folder / JOB_FILE, json.dumps(get_process_identity() | {"choices": dict(choices)}, indent=2) + "\n")


def write_job_end(folder: Path) -> None:
    """This process has left the run, of which more is to be done; the process itself may go on."""
    write_text(folder / JOB_FILE, json.dumps(read_job(folder) | {"ended": True}, indent=2) + "\n")


def write_job_failure(folder: Path, overrides: Sequence[str], reason: str) -> None:
    """The job of the folder failed; passed over when the run in it is another process's, which goes on unharmed."""
    job = read_job(folder)
    if (folder / "config.yaml").exists() and not job.items() >= get_process_identity().items():
        return
    said = {"overrides": list(overrides), "failed": reason}
    write_text(folder / JOB_FILE, json.dumps(get_process_identity() | job | said, indent=2) + "\n")


def write_job_pruning(folder: Path, reason: str) -> None:
    """A search has ended the run of the folder early: there are better ones."""
    write_text(folder / JOB_FILE, json.dumps(read_job(folder) | {"pruned": reason, "ended": True}, indent=2) + "\n")


def read_job(folder: Path) -> dict[str, Any]:
    """What job.json says; {} where there is none or it cannot be read."""
    try:
        return dict(json.loads((folder / JOB_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def read_run_status(folder: Path, done: int | None, wanted: int | None) -> StatusReport:
    """What has become of a run that has ended after `done` turns, None if it has not, of `wanted` ones."""
    job = read_job(folder)
    if "failed" in job:
        return StatusReport(RunStatus.FAILED, str(job["failed"]))
    if done is not None and done >= (wanted or 0):
        return StatusReport(RunStatus.FINISHED)
    if "pruned" in job:
        return StatusReport(RunStatus.PRUNED, str(job["pruned"]))
    if is_alive(folder, job):
        return StatusReport(RunStatus.RUNNING)
    reached = "before its end" if done is None else f"at turn {done:,} of {wanted:,}"
    return StatusReport(RunStatus.INTERRUPTED, reached)


def is_alive(folder: Path, job: Mapping[str, Any]) -> bool:
    """Whether the process of a run is at it or, on another machine, has written something lately."""
    if job.get("ended"):
        return False
    if job.get("host") == platform.node():
        return pid_exists(int(job["pid"]))
    written = [path.stat().st_mtime for path in (folder / name for name in HEARTBEAT_FILES) if path.exists()]
    return time.time() - max(written, default=0.0) < STALE_SECONDS


def pid_exists(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def get_process_identity() -> dict[str, Any]:
    """The number of this process and the name of its machine."""
    return {"pid": os.getpid(), "host": platform.node()}
