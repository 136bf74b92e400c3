"""Small runs of the train command in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAIN_PY = str(ROOT / "src" / "train.py")
SMALL_RUN = ["model=mlp", "logger=csv", "metrics=none", "data.batch_size=8", "callbacks.samples=null", "turns=6"]
RANK_RECORDER = "+callbacks.recording._target_=recording_callbacks.RankRecorder"
CHECKPOINT_EVERY_TURN = "callbacks.checkpoints.every=1"
MARK_VARIABLE = "GANTRY_TEST"  # by which processes of a test are found


def make_environment(folder: Path) -> dict[str, str]:
    """A small environment whose runs lie in `folder`/train."""
    own = {
        "GANTRY_LOGS": str(folder),
        "GANTRY_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": str(ROOT / "tests" / "helpers"),
    }
    return os.environ | own | {"OMP_NUM_THREADS": "1", MARK_VARIABLE: str(folder)}


def start_command(command: list[str], folder: Path, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Begin a command of small runs; what it says itself wins."""
    said = {word.partition("=")[0] for word in command}
    return subprocess.Popen(
        [*command, *(word for word in SMALL_RUN if word.partition("=")[0] not in said)],
        env=make_environment(folder) | (more or {}),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_exit(process: subprocess.Popen[str], status: int = 0, seconds: float = 900) -> str:
    """Wait for its end; -> what it said."""
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == status, said
    return said


def run_training(*overrides: str, folder: Path, status: int = 0) -> str:
    """A small run; -> what it said."""
    return wait_for_exit(start_command([sys.executable, TRAIN_PY, *overrides], folder), status)


def find_leftover_processes(folder: Path) -> list[str]:
    """Commands of the processes that a test in this folder has started and that still run."""
    mark, found = f"{MARK_VARIABLE}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != os.getpid() and mark in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
