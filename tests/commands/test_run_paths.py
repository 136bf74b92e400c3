"""A run in a folder with an unusual name is resumed, scored, sampled and compared; a checkpoint stands for its run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.runs.layout import split_run_path
from subprocess_runs import ROOT, make_environment, run_training

NAME = "lr=1e-4,seed=1 (2) [x] {y} ü 'q' \"d\" #;& $~"
SCORED = ["metrics=small", "metrics.num_samples=20", "metrics.report.num_samples=20", "callbacks.evaluate.every=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a folder with an unusual name, and in a log folder with one."""
    folder = tmp_path_factory.mktemp("logs") / NAME
    folder.mkdir()
    run_training(*SCORED, f"run.name={NAME}", folder=folder)
    return folder / "train" / NAME


def run_script(script: str, *words: str, folder: Path) -> str:
    command = [sys.executable, str(ROOT / "src" / script), *words]
    process = subprocess.run(command, capture_output=True, text=True, env=make_environment(folder), cwd=folder)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_it_is_resumed_by_its_folder_and_by_its_checkpoint(run: Path) -> None:
    for turns, path in ((7, run), (8, run / "checkpoints" / "last.ckpt")):
        run_training(*SCORED, f"resume={path}", f"turns={turns}", folder=run.parents[1])
        assert json.loads((run / "summary.json").read_text())["turns"] == turns
    output = run_training(f"resume={run / 'checkpoints' / 'best.ckpt'}", folder=run.parents[1], status=2)
    assert output.startswith("error: resume must be a run or its last.ckpt")


@pytest.mark.parametrize(
    ("path", "rule"),
    [(".", "best fd_digits"), ("checkpoints/last.ckpt", "last.ckpt"), ("generator/last", "last")],
)
def test_it_is_scored(path: str, rule: str, run: Path, tmp_path: Path) -> None:
    run_script(
        "evaluate.py", f"run={run / path}", "num_samples=20", f"output={tmp_path / 'e=v'}", folder=run.parents[1]
    )
    record = json.loads((tmp_path / "e=v" / "scores.json").read_text())
    assert record["protocol"]["checkpoint"].startswith(rule)
    assert record["of"] == str(run)


def test_it_is_sampled_and_compared(run: Path, tmp_path: Path) -> None:
    output = run_script("sample.py", f"run={run / 'generator' / 'last'}", "n=4", folder=run.parents[1])
    assert Path(output.strip()).parent == run / "generated"
    run_script("compare.py", f"runs=[{run}]", f"out={tmp_path}", folder=run.parents[1])
    assert (tmp_path / "compare.html").is_file()


def test_a_path_within_a_run_stands_for_it(tmp_path: Path) -> None:
    for path in ("config.yaml", "checkpoints/last.ckpt", "generator/best/generator.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert split_run_path(tmp_path / "checkpoints" / "last.ckpt") == (tmp_path, "last")
    assert split_run_path(tmp_path / "generator" / "best") == (tmp_path, "best")
    for path in (".", "checkpoints", "config.yaml"):
        assert split_run_path(tmp_path / path) == (tmp_path, None)
    elsewhere = tmp_path / "checkpoints"
    assert split_run_path(elsewhere / "missing.ckpt") == (elsewhere / "missing.ckpt", None)


def test_nothing_is_written_through_a_link_out_of_the_run(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    shutil.move(copy / "checkpoints", tmp_path / "elsewhere")
    (copy / "checkpoints").symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    output = run_training(f"resume={copy}", "turns=8", "metrics=small", folder=tmp_path, status=2)
    assert f"resume must be a folder without links that lead out of it, got {copy}/checkpoints" in output
    assert {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before
