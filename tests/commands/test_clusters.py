"""Processes that torchrun or srun starts train one model in one folder."""

import signal
import sys
from pathlib import Path

import pytest

from gantry.distributed.environment import find_free_port
from recording_callbacks import read_rank_records
from subprocess_runs import (
    CHECKPOINT_EVERY_TURN,
    RANK_RECORDER,
    TRAIN_PY,
    find_leftover_processes,
    run_training,
    start_command,
    wait_for_exit,
)

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ON_CPU = ["trainer=ddp_multinode", "trainer.accelerator=cpu"]
BOTH = [{"rank": rank, "size": 2, "seed": 0, "turn": 0} for rank in (0, 1)]
pytestmark = pytest.mark.slow


def only_run(folder: Path) -> Path:
    (run,) = (folder / "train").iterdir()
    return run


def test_torchrun_makes_one_folder(tmp_path: Path) -> None:
    wait_for_exit(
        start_command([*TORCHRUN, "--standalone", "--nproc-per-node=2", TRAIN_PY, *ON_CPU, RANK_RECORDER], tmp_path)
    )
    assert read_rank_records(only_run(tmp_path)) == BOTH
    assert find_leftover_processes(tmp_path) == []


def test_two_machines_make_one_folder(tmp_path: Path) -> None:
    command = [
        *TORCHRUN,
        "--nnodes=2",
        "--nproc-per-node=1",
        f"--master-port={find_free_port()}",
        "--master-addr=127.0.0.1",
    ]
    nodes = [start_command([*command, f"--node-rank={n}", TRAIN_PY, *ON_CPU, RANK_RECORDER], tmp_path) for n in (0, 1)]
    for node in nodes:
        wait_for_exit(node)
    assert read_rank_records(only_run(tmp_path)) == BOTH


def test_what_torchrun_restarts_goes_on_in_its_folder(tmp_path: Path) -> None:
    dying = [
        f"+callbacks.dying={{_target_:recording_callbacks.SignalSender,number:{signal.SIGKILL.value},rank:1}}",
        CHECKPOINT_EVERY_TURN,
    ]
    again = [*TORCHRUN, "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    wait_for_exit(start_command([*again, TRAIN_PY, *ON_CPU, *dying], tmp_path))
    run = only_run(tmp_path)
    assert read_rank_records(run) == [*BOTH, *(about | {"turn": 3} for about in BOTH)]
    turns = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert turns == [str(turn) for turn in range(1, 7)]


def srun(rank: int, job: int) -> dict[str, str]:
    """What srun tells the task of rank `rank` of two on one node."""
    step = {"STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 1, "STEP_ID": 0, "STEP_NODELIST": "localhost", "NTASKS": 2}
    task = {"JOB_ID": job, "PROCID": rank, "LOCALID": rank, "NODEID": 0, "JOB_NAME": "train"}
    return {f"SLURM_{name}": str(value) for name, value in (step | task).items()} | {
        "MASTER_PORT": str(find_free_port())
    }


def test_srun_makes_one_folder_and_a_requeue_goes_on_in_it(tmp_path: Path) -> None:
    ahead = f"+callbacks.ahead={{_target_:recording_callbacks.SignalSender,number:{signal.SIGUSR1.value},rank:1}}"
    command = [sys.executable, TRAIN_PY, *ON_CPU, ahead, "run.auto_resume=true"]
    for status in (128 + signal.SIGUSR1, 0):
        port = {"MASTER_PORT": str(find_free_port())}
        for task in [start_command(command, tmp_path, srun(rank, 77) | port) for rank in (0, 1)]:
            wait_for_exit(task, status)
    run = only_run(tmp_path)
    assert run.name == "slurm-77.0"
    assert read_rank_records(run) == [*BOTH, *(about | {"turn": 4} for about in BOTH)]
    assert [path.name for path in run.rglob("hpc*")] == []


def test_a_trainer_for_other_processes_than_were_started(tmp_path: Path) -> None:
    tasks = [start_command([sys.executable, TRAIN_PY], tmp_path, srun(rank, 78)) for rank in (0, 1)]
    for task in tasks:
        said = wait_for_exit(task, status=2)
        assert "error: trainer must be ddp_multinode for the 2 processes that torchrun or srun has started" in said
    assert "got 2 of them" in wait_for_exit(
        start_command([sys.executable, TRAIN_PY, "-m"], tmp_path, srun(0, 78)), status=2
    )
    assert "trainer.num_nodes must be 1" in run_training(
        "trainer=ddp_cpu", "trainer.num_nodes=2", folder=tmp_path, status=2
    )
