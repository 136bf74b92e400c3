"""What has become of a run, as its folder tells."""

import json
import os
import platform
import time
from pathlib import Path

import pytest

from fake_runs import dead_process
from gantry.runs.status import (
    FILE,
    State,
    Status,
    read_job,
    status_of,
    write_began,
    write_ended,
    write_failed,
    write_pruned,
)


def write(folder: Path, **facts: object) -> None:
    (folder / FILE).write_text(json.dumps(facts))


def test_a_run_of_this_process_is_running_until_it_has_done_its_turns(tmp_path: Path) -> None:
    write_began(tmp_path, {"model": "mlp"})
    assert read_job(tmp_path)["choices"] == {"model": "mlp"}
    assert status_of(tmp_path, None, 10).state == State.RUNNING
    assert status_of(tmp_path, 5, 10).state == State.RUNNING  # a resumed one: the 5 are of the first start
    assert status_of(tmp_path, 10, 10) == Status(State.FINISHED)


def test_a_run_that_its_process_has_left_was_interrupted(tmp_path: Path) -> None:
    write_began(tmp_path, {})
    write_ended(tmp_path)
    assert status_of(tmp_path, 5, 10).state == State.INTERRUPTED
    write_began(tmp_path, {})  # resumed
    assert status_of(tmp_path, 5, 10).state == State.RUNNING


def test_a_pruned_run_is_so_until_it_goes_on_or_is_done(tmp_path: Path) -> None:
    write_began(tmp_path, {})
    write_pruned(tmp_path, "at turn 5 of 10")
    assert str(status_of(tmp_path, 5, 10)) == "pruned: at turn 5 of 10"
    assert read_job(tmp_path)["pid"] == os.getpid()
    assert status_of(tmp_path, 10, 10).state == State.FINISHED
    write_began(tmp_path, {})  # resumed alone
    assert status_of(tmp_path, 5, 10).state == State.RUNNING


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path: Path) -> None:
    write(tmp_path, host=platform.node(), pid=dead_process())
    assert str(status_of(tmp_path, 5, 1000)) == "interrupted: at turn 5 of 1,000"
    assert str(status_of(tmp_path, None, 10)) == "interrupted: before its end"


def test_a_run_elsewhere_is_running_while_it_writes(tmp_path: Path) -> None:
    write(tmp_path, host="another", pid=1)
    written = tmp_path / "metrics.csv"
    written.touch()
    assert status_of(tmp_path, None, 10).state == State.RUNNING
    os.utime(written, (time.time() - 3600,) * 2)
    assert status_of(tmp_path, None, 10).state == State.INTERRUPTED


def test_a_failure_is_kept_with_its_reason_and_forgotten_when_the_run_goes_on(tmp_path: Path) -> None:
    write_began(tmp_path, {"model": "mlp"})
    (tmp_path / "config.yaml").touch()
    write_failed(tmp_path, ["seed=1"], "it broke")
    assert status_of(tmp_path, None, 10) == Status(State.FAILED, "it broke")
    assert read_job(tmp_path)["choices"] == {"model": "mlp"}
    write_began(tmp_path, {})
    assert status_of(tmp_path, None, 10).state == State.RUNNING


def test_a_job_that_never_began_does_not_spoil_the_run_in_whose_folder_it_was_to_be(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    write(tmp_path, host=platform.node(), pid=1)
    write_failed(tmp_path, ["seed=1"], "run.name must be new")
    assert "failed" not in read_job(tmp_path)
    (tmp_path / "config.yaml").unlink()
    write_failed(tmp_path, ["seed=1"], "a mistake")
    assert read_job(tmp_path)["overrides"] == ["seed=1"]


@pytest.mark.parametrize("text", ["", "[1", "null"])
def test_a_broken_file_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_job(tmp_path) == {}
