"""Run the train command on a small experiment in subprocesses."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TRAIN_PY = str(ROOT / "src" / "train.py")
SMALL_RUN = ["model=mlp", "logger=csv", "metrics=none", "data.batch_size=8", "callbacks.samples=null", "turns=6"]
RANK_RECORDER = "+callbacks.recording._target_=recording_callbacks.RankRecorder"
CHECKPOINT_EVERY_TURN = "callbacks.checkpoints.every=1"
MARK_VARIABLE = "GANTRY_TEST"  # its value, the folder of a test, identifies the processes of that test


def make_environment(folder: Path) -> dict[str, str]:
    """Return environment variables for runs with one thread that are written to `folder`/train."""
    variables = {
        "GANTRY_LOGS": str(folder),
        "GANTRY_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": str(ROOT / "tests" / "helpers"),
        "GANTRY_TRUST": "pausing_callback,recording_callbacks,search_callbacks,agreement_callback",
    }
    return os.environ | variables | {"OMP_NUM_THREADS": "1", MARK_VARIABLE: str(folder)}


def start_command(command: list[str], folder: Path, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command with the overrides of SMALL_RUN, except for keys that the command sets itself."""
    keys = {argument.partition("=")[0] for argument in command}
    return subprocess.Popen(
        [*command, *(override for override in SMALL_RUN if override.partition("=")[0] not in keys)],
        env=make_environment(folder) | (more or {}),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[Any], seconds: float = 300) -> None:
    """Wait until a condition holds or the process has ended."""
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def wait_for_exit(process: subprocess.Popen[str], status: int = 0, seconds: float = 900) -> str:
    """Wait until a process ends, check its exit status, and return its output."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == status, output
    return output


def run_training(*overrides: str, folder: Path, status: int = 0) -> str:
    """Run a small training to its end and return its output."""
    return wait_for_exit(start_command([sys.executable, TRAIN_PY, *overrides], folder), status)


def find_leftover_processes(folder: Path) -> list[str]:
    """Return the command lines of all processes that a test in this folder has started and that still run."""
    mark, commands = f"{MARK_VARIABLE}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != os.getpid() and mark in (path / "environ").read_bytes().split(b"\0"):
                commands.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return commands
