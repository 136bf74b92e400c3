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


def get_only_run(folder: Path) -> Path:
    (run,) = (folder / "train").iterdir()
    return run


def test_torchrun_writes_one_run_folder(tmp_path: Path) -> None:
    wait_for_exit(
        start_command([*TORCHRUN, "--standalone", "--nproc-per-node=2", TRAIN_PY, *ON_CPU, RANK_RECORDER], tmp_path)
    )
    assert read_rank_records(get_only_run(tmp_path)) == BOTH
    assert find_leftover_processes(tmp_path) == []


def test_two_nodes_write_one_run_folder(tmp_path: Path) -> None:
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
    assert read_rank_records(get_only_run(tmp_path)) == BOTH


def test_run_restarted_by_torchrun_resumes_in_its_folder(tmp_path: Path) -> None:
    kill_rank_1 = [
        f"+callbacks.dying={{_target_:recording_callbacks.SignalSender,number:{signal.SIGKILL.value},rank:1}}",
        CHECKPOINT_EVERY_TURN,
    ]
    torchrun_with_restarts = [*TORCHRUN, "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    wait_for_exit(start_command([*torchrun_with_restarts, TRAIN_PY, *ON_CPU, *kill_rank_1], tmp_path))
    run = get_only_run(tmp_path)
    assert read_rank_records(run) == [*BOTH, *(record | {"turn": 3} for record in BOTH)]
    turns = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert turns == [str(turn) for turn in range(1, 7)]


def make_srun_variables(rank: int, job: int) -> dict[str, str]:
    """Return the variables that srun sets for task `rank` of two on one node."""
    step = {"STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 1, "STEP_ID": 0, "STEP_NODELIST": "localhost", "NTASKS": 2}
    task = {"JOB_ID": job, "PROCID": rank, "LOCALID": rank, "NODEID": 0, "JOB_NAME": "train"}
    return {f"SLURM_{name}": str(value) for name, value in (step | task).items()} | {
        "MASTER_PORT": str(find_free_port())
    }


def test_srun_writes_one_folder_and_a_requeue_resumes_in_it(tmp_path: Path) -> None:
    signal_rank_1 = (
        f"+callbacks.ahead={{_target_:recording_callbacks.SignalSender,number:{signal.SIGUSR1.value},rank:1}}"
    )
    command = [sys.executable, TRAIN_PY, *ON_CPU, signal_rank_1, "run.auto_resume=true"]
    for status in (128 + signal.SIGUSR1, 0):
        port = {"MASTER_PORT": str(find_free_port())}
        for task in [start_command(command, tmp_path, make_srun_variables(rank, 77) | port) for rank in (0, 1)]:
            wait_for_exit(task, status)
    run = get_only_run(tmp_path)
    assert run.name == "slurm-77.0"
    assert read_rank_records(run) == [*BOTH, *(record | {"turn": 4} for record in BOTH)]
    assert [path.name for path in run.rglob("hpc*")] == []


def test_trainer_must_match_the_started_processes(tmp_path: Path) -> None:
    tasks = [start_command([sys.executable, TRAIN_PY], tmp_path, make_srun_variables(rank, 78)) for rank in (0, 1)]
    for task in tasks:
        output = wait_for_exit(task, status=2)
        assert "error: trainer must be ddp_multinode for the 2 processes that torchrun or srun has started" in output
    assert "got 2 of them" in wait_for_exit(
        start_command([sys.executable, TRAIN_PY, "-m"], tmp_path, make_srun_variables(0, 78)), status=2
    )
    assert "trainer.num_nodes must be 1" in run_training(
        "trainer=ddp_cpu", "trainer.num_nodes=2", folder=tmp_path, status=2
    )
