"""What has become of a run, as its folder tells."""

import json
import os
import platform
import time
from pathlib import Path

import pytest

from fake_runs import get_dead_pid
from gantry.runs.status import (
    JOB_FILE,
    RunStatus,
    StatusReport,
    read_job,
    read_run_status,
    write_job_end,
    write_job_failure,
    write_job_pruning,
    write_job_start,
)


def write(folder: Path, **facts: object) -> None:
    (folder / JOB_FILE).write_text(json.dumps(facts))


def test_a_run_of_this_process_is_running_until_it_has_done_its_turns(tmp_path: Path) -> None:
    write_job_start(tmp_path, {"model": "mlp"})
    assert read_job(tmp_path)["choices"] == {"model": "mlp"}
    assert read_run_status(tmp_path, None, 10).state == RunStatus.RUNNING
    assert read_run_status(tmp_path, 5, 10).state == RunStatus.RUNNING  # a resumed one: the 5 are of the first start
    assert read_run_status(tmp_path, 10, 10) == StatusReport(RunStatus.FINISHED)


def test_a_run_that_its_process_has_left_was_interrupted(tmp_path: Path) -> None:
    write_job_start(tmp_path, {})
    write_job_end(tmp_path)
    assert read_run_status(tmp_path, 5, 10).state == RunStatus.INTERRUPTED
    write_job_start(tmp_path, {})  # resumed
    assert read_run_status(tmp_path, 5, 10).state == RunStatus.RUNNING


def test_a_pruned_run_is_so_until_it_goes_on_or_is_done(tmp_path: Path) -> None:
    write_job_start(tmp_path, {})
    write_job_pruning(tmp_path, "at turn 5 of 10")
    assert str(read_run_status(tmp_path, 5, 10)) == "pruned: at turn 5 of 10"
    assert read_job(tmp_path)["pid"] == os.getpid()
    assert read_run_status(tmp_path, 10, 10).state == RunStatus.FINISHED
    write_job_start(tmp_path, {})  # resumed alone
    assert read_run_status(tmp_path, 5, 10).state == RunStatus.RUNNING


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path: Path) -> None:
    write(tmp_path, host=platform.node(), pid=get_dead_pid())
    assert str(read_run_status(tmp_path, 5, 1000)) == "interrupted: at turn 5 of 1,000"
    assert str(read_run_status(tmp_path, None, 10)) == "interrupted: before its end"


def test_a_run_elsewhere_is_running_while_it_writes(tmp_path: Path) -> None:
    write(tmp_path, host="another", pid=1)
    written = tmp_path / "metrics.csv"
    written.touch()
    assert read_run_status(tmp_path, None, 10).state == RunStatus.RUNNING
    os.utime(written, (time.time() - 3600,) * 2)
    assert read_run_status(tmp_path, None, 10).state == RunStatus.INTERRUPTED


def test_a_failure_is_kept_with_its_reason_and_forgotten_when_the_run_goes_on(tmp_path: Path) -> None:
    write_job_start(tmp_path, {"model": "mlp"})
    (tmp_path / "config.yaml").touch()
    write_job_failure(tmp_path, ["seed=1"], "it broke")
    assert read_run_status(tmp_path, None, 10) == StatusReport(RunStatus.FAILED, "it broke")
    assert read_job(tmp_path)["choices"] == {"model": "mlp"}
    write_job_start(tmp_path, {})
    assert read_run_status(tmp_path, None, 10).state == RunStatus.RUNNING


def test_a_job_that_never_began_does_not_spoil_the_run_in_whose_folder_it_was_to_be(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    write(tmp_path, host=platform.node(), pid=1)
    write_job_failure(tmp_path, ["seed=1"], "run.name must be new")
    assert "failed" not in read_job(tmp_path)
    (tmp_path / "config.yaml").unlink()
    write_job_failure(tmp_path, ["seed=1"], "a mistake")
    assert read_job(tmp_path)["overrides"] == ["seed=1"]


@pytest.mark.parametrize("text", ["", "[1", "null"])
def test_a_broken_file_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text(text)
    assert read_job(tmp_path) == {}
