"""What a start makes of the folder that it finds: a failed start, a run that lacks its end, a finished run."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from gantry.commands import start_state
from gantry.commands.start_state import is_finished_already, look_for_checkpoint, read_turn
from gantry.errors import UserError
from gantry.runs.folder import read_config
from gantry.runs.layout import LAST_CHECKPOINT, checkpoint_path
from gantry.runs.summary import read_summary
from subprocess_runs import TRAIN_PY, run_training, start_command, wait_for_exit

SCORED = ["metrics=small", "metrics.num_samples=20", "metrics.report.num_samples=20", "callbacks.evaluate.every=3"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 6 turns, with offline W&B."""
    folder = tmp_path_factory.mktemp("finished")
    run_training(*SCORED, "logger=wandb", "run.name=first", folder=folder)
    return folder / "train" / "first"


def list_files(run: Path) -> dict[str, int]:
    """Return when each file of a run was written, but for its log and lock."""
    files = (path for path in run.rglob("*") if path.is_file() and path.name not in ("train.log", ".lock"))
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize("words", [["resume=train/first"], ["run.name=first", "run.auto_resume=true", *SCORED]])
def test_a_finished_run_is_left_as_it_is(words: list[str], finished: Path) -> None:
    before = list_files(finished)
    output = run_training(*words, "metrics=small", "logger=wandb", folder=finished.parents[1])
    assert output == "the run is finished: 6 turns are done. turns=N resumes it with more\n"
    assert list_files(finished) == before


def test_a_finished_run_is_not_shortened(finished: Path) -> None:
    before = list_files(finished)
    words = ["resume=train/first", "turns=3", "metrics=small", "logger=wandb"]
    output = run_training(*words, folder=finished.parents[1], status=2)
    assert output == "error: turns must be at least 6, which the run train/first has done already, got 3\n"
    assert list_files(finished) == before


def test_a_run_that_is_killed_in_its_report_gets_it_when_it_is_resumed(finished: Path, tmp_path: Path) -> None:
    killed = "++callbacks.report._target_=pausing_callback.KilledReport"
    words = [*SCORED, "run.name=first"]
    run_training(*words, killed, folder=tmp_path, status=-9)
    run = tmp_path / "train" / "first"
    assert "report" not in read_summary(run)
    state = checkpoint_path(run, LAST_CHECKPOINT).read_bytes()
    output = run_training(f"resume={run}", *SCORED, folder=tmp_path)
    assert "best, turn" in output
    assert without_times(read_summary(run)) == without_times(read_summary(finished))
    assert checkpoint_path(run, LAST_CHECKPOINT).read_bytes() == state
    assert "the run is finished" in run_training(f"resume={run}", *SCORED, folder=tmp_path)


def without_times(value: Any) -> Any:
    """Return a summary without the seconds that something took."""
    if not isinstance(value, dict):
        return value
    return {name: without_times(entry) for name, entry in value.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("mistake", "status"), [("data.shape=[1,16,16]", 2), ("model.G._target_=parts_with_bugs.Generator", 1)]
)
def test_the_corrected_command_takes_the_same_name(mistake: str, status: int, tmp_path: Path) -> None:
    run = tmp_path / "train" / "first"
    run_training(mistake, "run.name=first", folder=tmp_path, status=status)
    assert run.exists() == (status == 1)  # a refused command leaves nothing, a bug its log
    run_training("run.name=first", folder=tmp_path)
    assert "first" in run_training("run.name=first", folder=tmp_path, status=2)
    assert OmegaConf.load(run / "config.yaml").model.G._target_ == "gantry.nets.mlp.Generator"


def test_another_start_with_automatic_resume_looks_again_under_the_lock(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg: Any = read_config(finished)
    cfg.run.auto_resume, cfg.resume = True, None  # as if there had been no checkpoint when this process looked
    look_for_checkpoint(cfg, finished)
    assert cfg.resume == str(finished)
    assert is_finished_already(cfg, finished)
    cfg.resume = None
    monkeypatch.setattr(start_state.environment, "is_externally_launched", lambda: True)
    with pytest.raises(UserError, match=r"^run\.dir must be a folder in which no other process trains"):
        look_for_checkpoint(cfg, finished)


@pytest.mark.parametrize(("key", "value"), [("turns", 5), ("seed", 7)])
def test_a_finished_run_of_another_configuration_is_refused(key: str, value: int, finished: Path) -> None:
    cfg: Any = read_config(finished)
    cfg.resume, cfg[key] = str(finished), value
    with pytest.raises(UserError, match=rf"^{key} must be"):
        is_finished_already(cfg, finished)


def test_a_checkpoint_beyond_the_turns_is_refused(finished: Path, tmp_path: Path) -> None:
    """The run was killed, so its summary does not tell how far it came."""
    run = tmp_path / "train" / "first"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("summary.json", "wandb"))
    words = [sys.executable, TRAIN_PY, f"resume={run}", "turns=4", *SCORED]
    output = wait_for_exit(start_command(words, tmp_path), status=2)
    assert output == f"error: turns must be at least 6, which the run {run} has done already, got 4\n"
    assert json.loads((run / "job.json").read_text())["pid"]
    assert OmegaConf.load(run / "config.yaml").turns == 6


@pytest.mark.parametrize("turn", [None, float("inf"), "abc", -1, torch.tensor(3)])
def test_a_turn_that_is_no_count_is_left_to_the_check_of_the_checkpoint(turn: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "global_step": turn}, tmp_path / "last.ckpt")
    assert read_turn(tmp_path / "last.ckpt") == 0


def test_a_checkpoint_of_objects_is_refused_before_its_turn_is_read(tmp_path: Path) -> None:
    torch.save(Path("object"), tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"^checkpoint must hold the training state of this run, got "):
        read_turn(tmp_path / "last.ckpt")
