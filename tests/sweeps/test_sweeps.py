"""Sweeps: one folder for each job, the same job on all of its processes, none trained twice, none left behind."""

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

from recording_callbacks import read_rank_records
from subprocess_runs import (
    CHECKPOINT_EVERY_TURN,
    RANK_RECORDER,
    TRAIN_PY,
    find_leftover_processes,
    run_training,
    start_command,
    wait_for_exit,
    wait_until,
)

pytestmark = pytest.mark.slow
SWEEP = ["-m", "run.name=S", "seed=1,2", RANK_RECORDER]
ON_TWO = [[{"rank": rank, "size": 2, "seed": seed, "turn": 0} for rank in (0, 1)] for seed in (1, 2)]
ON_ONE = [[{"rank": 0, "size": 1, "seed": seed, "turn": 0}] for seed in (1, 2)]


def needs(plugin: str, extra: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(f"hydra_plugins.{plugin}") is None
    return pytest.mark.skipif(missing, reason=f"the extra {extra} is not installed")


def jobs(folder: Path) -> list[list[dict[str, int]]]:
    """Return the records of the processes of each job, in the order of the jobs."""
    sweep = folder / "train" / "sweeps" / "S"
    assert [path.name for path in (folder / "train").iterdir()] == ["sweeps"]
    numbers = sorted(path.name for path in sweep.iterdir() if path.is_dir() and path.name != ".submitit")
    assert numbers == ["0", "1"]
    assert all((sweep / number / "checkpoints" / "last.ckpt").is_file() for number in numbers)
    return [read_rank_records(sweep / number) for number in numbers]


def test_jobs_of_two_processes_one_after_the_other(tmp_path: Path) -> None:
    run_training(*SWEEP, "trainer=ddp_cpu", folder=tmp_path)
    assert jobs(tmp_path) == ON_TWO
    assert find_leftover_processes(tmp_path) == []
    run_training(
        *SWEEP, "trainer=ddp_cpu", "run.auto_resume=true", folder=tmp_path
    )  # all are finished: none is trained again
    assert jobs(tmp_path) == ON_TWO


@needs("hydra_joblib_launcher", "joblib")
def test_joblib_shares_out_the_cores(tmp_path: Path) -> None:
    output = run_training(*SWEEP, "launcher=joblib", "hydra.launcher.n_jobs=64", folder=tmp_path)
    assert "warning: joblib: 64 jobs at a time, each of 1 processes and 1 threads: 64 on " in output
    assert jobs(tmp_path) == ON_ONE


@needs("hydra_joblib_launcher", "joblib")
def test_joblib_with_jobs_of_two_processes(tmp_path: Path) -> None:
    run_training(*SWEEP, "launcher=joblib", "hydra.launcher.n_jobs=2", "trainer=ddp_cpu", folder=tmp_path)
    assert jobs(tmp_path) == ON_TWO
    assert find_leftover_processes(tmp_path) == []


@needs("hydra_submitit_launcher", "slurm")
def test_submitit_queues_again_what_was_told_to_stop(tmp_path: Path) -> None:
    ahead = f"+callbacks.ahead={{_target_:recording_callbacks.SignalSender,number:{signal.SIGUSR2.value}}}"
    run_training(*SWEEP[:-1], ahead, "launcher=submitit_local", "trainer=ddp_cpu", folder=tmp_path)
    assert jobs(tmp_path) == [[*before, *(about | {"turn": 4} for about in before)] for before in ON_TWO]
    assert find_leftover_processes(tmp_path) == []


@needs("hydra_ray_launcher", "ray")
def test_ray(tmp_path: Path) -> None:
    run_training(*SWEEP, "launcher=ray", "trainer=ddp_cpu", "+hydra.launcher.ray.init.num_cpus=2", folder=tmp_path)
    assert jobs(tmp_path) == ON_TWO


def test_a_killed_run_starts_again_by_the_same_command_and_not_twice_at_a_time(tmp_path: Path) -> None:
    hanging = "++callbacks.scalars._target_=pausing_callback.PausingScalars"
    command = [
        sys.executable,
        TRAIN_PY,
        "run.name=X",
        "run.auto_resume=true",
        "turns=8",
        CHECKPOINT_EVERY_TURN,
        RANK_RECORDER,
        hanging,
    ]
    first, run = start_command(command, tmp_path), tmp_path / "train" / "X"
    wait_until((run / "paused").exists, first)
    output = wait_for_exit(start_command(command, tmp_path), status=2)
    assert output == f"error: run.dir must be a folder in which no other process trains, got {run}\n"
    first.kill()
    first.wait()
    wait_for_exit(start_command(command, tmp_path))
    assert read_rank_records(run) == [{"rank": 0, "size": 1, "seed": 0, "turn": turn} for turn in (0, 6)]
    changed = run_training("run.name=X", "run.auto_resume=true", "seed=3", folder=tmp_path, status=2)
    assert changed == "error: seed must be 0 as in the run to resume, got 3\n"
