"""show=true prints the configuration and starts nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from subprocess_runs import ROOT, TRAIN_PY, make_environment

RANK_VARIABLES = {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


def show(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the train command with show=true in an empty folder, and check that it leaves the folder empty."""
    command = [sys.executable, TRAIN_PY, *arguments, "show=true"]
    environment = make_environment(folder) | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert list(folder.iterdir()) == []
    return done


def test_show_prints_the_resolved_configuration(tmp_path: Path) -> None:
    done = show(tmp_path, "+loss.d_terms.r1=0.5", "turns=7", "callbacks.samples=false")
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)
    assert shown["turns"] == 7
    assert shown["loss"]["d_terms"]["r1"]["weight"] == 0.5
    assert shown["loss"]["d_terms"]["r1"]["penalty"]["_target_"] == "gantry.losses.penalties.r1"
    assert shown["model"]["D"]["norm"] == "none"  # resolved: the critic is penalised
    assert shown["callbacks"]["samples"] is None
    assert "hydra" not in shown


def test_show_reads_a_config_dir(tmp_path: Path) -> None:
    """With --config-dir, the early validation does not compose: Hydra does."""
    folder, empty = tmp_path / "mine", tmp_path / "empty"
    (folder / "model").mkdir(parents=True)
    empty.mkdir()
    (folder / "model" / "tiny.yaml").write_text("defaults: [mlp]\nz_dim: 3\n")
    done = show(empty, "--config-dir", str(folder), "model=tiny")
    assert yaml.safe_load(done.stdout)["model"]["G"]["z_dim"] == 3
    assert done.returncode == 0


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_of_several_processes_shows(rank: str, tmp_path: Path) -> None:
    done = show(tmp_path, "run.name=first", "trainer=ddp_cpu", **RANK_VARIABLES | {"RANK": rank})
    assert done.returncode == 0, done.stderr
    assert ("turns: 1200" in done.stdout) == (rank == "0")


@pytest.mark.parametrize("arguments", [["-m", "seed=1,2"], ["-m", "hparams_search=tpe", "seed=1,2"]])
def test_show_is_refused_for_many_runs(arguments: list[str], tmp_path: Path) -> None:
    done = show(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: show must be false for a sweep or a search, of many runs, got true\n"


def test_a_mistake_is_not_shown(tmp_path: Path) -> None:
    done = show(tmp_path, "turns=0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: turns must be an integer of at least 1, got 0\n"


def test_cfg_prints_what_hydra_composes(tmp_path: Path) -> None:
    command = [sys.executable, TRAIN_PY, "turns=7", "--cfg", "job", "--resolve"]
    done = subprocess.run(command, cwd=tmp_path, env=make_environment(ROOT), capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["turns"] == 7
    assert list(tmp_path.iterdir()) == []
