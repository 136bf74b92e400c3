"""The start of a search: with and without -m, and by one process alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from subprocess_runs import TRAIN_PY, make_environment, run_training

LR_SWEEP = "optim.D.lr=tag(log,interval(1e-4,1e-2))"
IN_SMALL = ["metrics=small", "metrics.num_samples=20", "metrics.report=null", "callbacks.curves=null"]


@pytest.mark.parametrize("options", [[], ["-m"]])
def test_a_search_needs_no_switch_for_sweeps(options: list[str], tmp_path: Path) -> None:
    output = run_training(*options, "hparams_search=random", folder=tmp_path, status=2)
    assert output.startswith("error: hparams_search must have keys to search")


@pytest.mark.parametrize("options", [[], ["--config-dir", "."]])
def test_several_processes_of_torchrun_do_not_each_run_the_search(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    output = run_training(*options, "run.name=S", "hparams_search=tpe", LR_SWEEP, folder=tmp_path, status=2)
    assert output == "error: a search must start its processes itself (trainer=ddp), got 2 of them\n"
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_of_a_search_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, TRAIN_PY, "hparams_search=grid", "model=mlp", "--cfg", "job"]
    done = subprocess.run(command, env=make_environment(tmp_path), capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["callbacks"]["pruning"] is None


def test_two_trials_in_small(tmp_path: Path) -> None:
    trials = ["run.name=S", "hydra.sweeper.n_trials=2", "turns=1"]
    output = run_training(*trials, "hparams_search=tpe", LR_SWEEP, *IN_SMALL, folder=tmp_path)
    assert "2 jobs: 2 finished" in output
    assert (tmp_path / "train" / "sweeps" / "S" / "1" / "summary.json").is_file()
