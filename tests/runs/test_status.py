"""The state of a run, read from its folder."""

import json
import os
import platform
import time
from pathlib import Path

import pytest

from fake_runs import get_dead_pid
from gantry.runs.layout import JOB_FILE, SUMMARY_FILE
from gantry.runs.status import (
    FailedJob,
    RunStatus,
    StatusReport,
    has_job,
    read_choices,
    read_failed_job,
    read_run_status,
    write_job_end,
    write_job_failure,
    write_job_pruning,
    write_job_start,
)
from gantry.runs.summary import write_summary


def write_job(folder: Path, **facts: object) -> None:
    (folder / JOB_FILE).write_text(json.dumps(facts))


def status_after(folder: Path, done: int | None, turns: int) -> StatusReport:
    """The state of a run whose last process ended after `done` turns, None if none has."""
    (folder / SUMMARY_FILE).unlink(missing_ok=True)
    if done is not None:
        write_summary(folder, {"turns": done})
    return read_run_status(folder, turns)


def test_a_run_of_this_process_is_running_until_its_last_turn(tmp_path: Path) -> None:
    write_job_start(tmp_path, {"model": "mlp"})
    assert read_choices(tmp_path) == {"model": "mlp"}
    assert status_after(tmp_path, None, 10).state == RunStatus.RUNNING
    assert status_after(tmp_path, 5, 10).state == RunStatus.RUNNING  # a resumed one: the 5 are of the first start
    assert status_after(tmp_path, 10, 10) == StatusReport(RunStatus.FINISHED)


def test_a_run_whose_process_left_it_is_interrupted(tmp_path: Path) -> None:
    write_job_start(tmp_path, {})
    write_job_end(tmp_path)
    assert status_after(tmp_path, 5, 10).state == RunStatus.INTERRUPTED
    write_job_start(tmp_path, {})  # resumed
    assert status_after(tmp_path, 5, 10).state == RunStatus.RUNNING


def test_a_run_is_pruned_until_it_resumes_or_finishes(tmp_path: Path) -> None:
    write_job_start(tmp_path, {})
    write_job_pruning(tmp_path, "at turn 5 of 10")
    assert str(status_after(tmp_path, 5, 10)) == "pruned: at turn 5 of 10"
    assert json.loads((tmp_path / JOB_FILE).read_text())["pid"] == os.getpid()
    assert status_after(tmp_path, 10, 10).state == RunStatus.FINISHED
    write_job_start(tmp_path, {})  # resumed alone
    assert status_after(tmp_path, 5, 10).state == RunStatus.RUNNING


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    write_job(tmp_path, host=platform.node(), pid=get_dead_pid())
    assert str(status_after(tmp_path, 5, 1000)) == "interrupted: at turn 5 of 1,000"
    assert str(status_after(tmp_path, None, 10)) == "interrupted: before its end"


def test_a_run_elsewhere_is_running_while_it_writes(tmp_path: Path) -> None:
    write_job(tmp_path, host="another", pid=1)
    written = tmp_path / "metrics.csv"
    written.touch()
    assert status_after(tmp_path, None, 10).state == RunStatus.RUNNING
    os.utime(written, (time.time() - 3600,) * 2)
    assert status_after(tmp_path, None, 10).state == RunStatus.INTERRUPTED


def test_a_failure_is_stored_with_its_reason_and_removed_when_the_run_resumes(tmp_path: Path) -> None:
    write_job_start(tmp_path, {"model": "mlp"})
    (tmp_path / "config.yaml").touch()
    write_job_failure(tmp_path, ["seed=1"], "it broke")
    assert status_after(tmp_path, None, 10) == StatusReport(RunStatus.FAILED, "it broke")
    assert read_choices(tmp_path) == {"model": "mlp"}
    write_job_start(tmp_path, {})
    assert status_after(tmp_path, None, 10).state == RunStatus.RUNNING


def test_a_job_that_never_started_does_not_damage_the_run_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    write_job(tmp_path, host=platform.node(), pid=1)
    write_job_failure(tmp_path, ["seed=1"], "run.name must be new")
    assert read_failed_job(tmp_path) is None
    (tmp_path / "config.yaml").unlink()
    write_job_failure(tmp_path, ["seed=1"], "a mistake")
    assert read_failed_job(tmp_path) == FailedJob("a mistake", ("seed=1",))


@pytest.mark.parametrize("text", ["", "[1", "null"])
def test_a_broken_file_counts_as_absent(text: str, tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text(text)
    assert has_job(tmp_path)
    assert read_choices(tmp_path) == {}
    assert read_failed_job(tmp_path) is None
