"""Runs read back from whatever they left."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import wandb

from fake_runs import GREY_LEVELS, make_protocol, read_image, write_fake_run
from gantry.compare.comparison import compare_runs, format_verdict
from gantry.compare.find_runs import read_runs
from gantry.compare.run_record import RunRecord, read_run
from gantry.compare.wandb_offline import find_wandb_logs, read_wandb_run
from gantry.loggers.dispatch import close_loggers, log_config, log_image, log_summary
from gantry.loggers.wandb_logger import WandbLogger
from gantry.runs.status import RunStatus


def log_to_wandb(folder: Path, fd: float, seed: int) -> None:
    """What a run of 100 turns tells W&B, offline."""
    loggers = [WandbLogger(str(folder), "gantry", name="first")]
    told = ["model=dcgan", f"seed={seed}"]
    config = {"turns": 100, "seed": seed, "model": {"name": "dcgan"}, "data": {"name": "digits"}}
    monitor = {"metrics": {"monitor": "fd_digits", "mode": "min"}, "run": {"overrides": told}}
    log_config(loggers, config | monitor, {"model": "dcgan", "data": "digits"})
    log_config(loggers, {"report": {"protocol": make_protocol()}}, {})
    for turn in (0, 50, 100):
        row = {"turn": turn, "kimg": turn * 0.064, "score/fd_digits": fd + 100 - turn, "speed/seconds": turn / 5}
        loggers[0].log_metrics(row, step=turn)
        log_image(loggers, "samples", np.full((20, 20, 1), GREY_LEVELS[turn], np.uint8), turn)
    log_summary(loggers, {"best/fd_digits": 7.0, "report/best/fd_digits": fd, "report/last/fd_digits": fd + 1})
    close_loggers(loggers, True)
    while not ended(folder):
        time.sleep(0.05)  # W&B completes its file a little later


def ended(folder: Path) -> bool:
    try:
        return read_wandb_run(find_wandb_logs(folder)).exit_code is not None
    except ValueError:
        return False


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WANDB_MODE", "offline")
    log_to_wandb(tmp_path / "run", fd=3.0, seed=2)
    wandb.teardown()
    return tmp_path / "run"


def check(run: RunRecord) -> None:
    assert run.status.state == RunStatus.FINISHED
    assert (run.seed, run.seconds, run.has_report) == (2, 20.0, True)
    assert (run.get_score("best", "fd_digits"), run.get_score("last", "fd_digits")) == (3.0, 4.0)
    np.testing.assert_array_equal(run.metrics["score/fd_digits"], [103.0, 53.0, 3.0])
    assert sorted(run.image_paths) == [0, 50, 100]
    assert {turn: read_image(path)[5, 5] for turn, path in run.image_paths.items()} == GREY_LEVELS


def test_a_run_that_only_wandb_knows_is_compared_with_others(offline: Path, tmp_path: Path) -> None:
    check(read_run(offline, "run"))
    (log,) = find_wandb_logs(offline)
    check(read_run(log.parent, "W&B's own folder"))
    write_fake_run(tmp_path / "other", "model=mlp", fd=5.0, seed=2)
    found = read_runs([str(offline), str(tmp_path / "other")])
    comparison = compare_runs(found.runs)
    assert list(comparison.columns) == ["model"]
    assert comparison.protocol_labels == ("A", "A")
    assert format_verdict(comparison).startswith("Best: model=dcgan with fd_digits 3 (one seed).")


def test_history_and_pictures_of_a_run_without_metrics_csv_come_from_wandb(offline: Path, tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "whole", "model=dcgan", fd=3.0, seed=2, pictures=())
    (run / "metrics.csv").unlink()
    shutil.move(offline / "wandb", run / "wandb")
    check(read_run(run, "run"))


def test_a_run_without_either_has_no_history(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", "model=dcgan")
    (run / "metrics.csv").unlink()
    assert read_run(run, "run").metrics == {}


BROKEN = {"config.yaml": "a: [1,\n2\n", "metrics.csv": "turn,a\nx,1\n", "summary.json": '{"a": [1,\n2'}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_one_line(broken: str, tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", "model=dcgan")
    (run / broken).write_text(BROKEN[broken])
    with pytest.raises(ValueError, match=r"^\w+: ") as caught:
        read_run(run, "run")
    assert "\n" not in str(caught.value)
