"""Read the environment variables of torchrun, srun or a parent process: rank, world size, rendezvous, run name."""

import os
import re
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PARENT_VARIABLE = "GANTRY_PARENT"  # PID of the process that started this one as a further rank of its job
STORE_TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True)
class Ranks:
    """Rank and world size of a process, over all machines and on its own machine."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @property
    def num_nodes(self) -> int:
        """Return the number of machines."""
        return self.world_size // self.local_world_size


def read_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Read rank and world size of this process; a process without these variables is the only one."""
    if PARENT_VARIABLE in environment:
        rank, world_size = int(environment["LOCAL_RANK"]), int(environment["WORLD_SIZE"])
        return Ranks(rank, rank, world_size, world_size)
    if not is_externally_launched(environment):
        return Ranks()
    rank, local_rank, world_size = (int(environment[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return Ranks(rank, local_rank, world_size, int(environment.get("LOCAL_WORLD_SIZE", world_size)))


def is_externally_launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if the processes of this job were started by torchrun or srun and not by Gantry."""
    return PARENT_VARIABLE not in environment and {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= environment.keys()


def export_srun_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that torchrun would set from those that srun has set; do nothing for a step of one task.

    Only srun sets the variables of the step (SLURM_STEP_*): a batch script without srun is one process.
    """
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks == 1 or is_externally_launched(environment) or PARENT_VARIABLE in environment:
        return
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    if tasks % nodes:
        raise ValueError(f"srun must start equally many tasks on every node, got {tasks} tasks on {nodes} nodes")
    environment.update(
        RANK=environment["SLURM_PROCID"],
        LOCAL_RANK=environment["SLURM_LOCALID"],
        WORLD_SIZE=str(tasks),
        LOCAL_WORLD_SIZE=str(tasks // nodes),
        GROUP_RANK=environment.get("SLURM_NODEID", "0"),
    )
    environment.setdefault("MASTER_ADDR", parse_first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    environment.setdefault("MASTER_PORT", str(choose_slurm_port(environment)))


def parse_first_host(nodes: str) -> str:
    """Return the first host of a SLURM node list: `gpu[03-05,9],login` -> `gpu03`."""
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", nodes).split(",")[0]


def choose_slurm_port(environment: Mapping[str, str]) -> int:
    """Derive a port from the job and step ids: equal for all tasks of a step, most likely different between steps."""
    job, step = (int(environment.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return 15000 + (job + 1009 * step) % 10000


def read_slurm_job_name(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a run name made of the SLURM job id under srun with several tasks, else None.

    All tasks read the same name, and a requeued job keeps it.
    """
    if (
        not is_externally_launched(environment)
        or "TORCHELASTIC_RUN_ID" in environment
        or "SLURM_JOB_ID" not in environment
    ):
        return None
    array, task = (environment.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else environment["SLURM_JOB_ID"]
    return f"slurm-{job}.{environment.get('SLURM_STEP_ID', 0)}"


def agree_on_run_name(proposal: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return one run name for all processes of a job; for a single process it is `proposal`.

    Under torchrun the first proposal wins: it is kept in the store of torchrun's agent, which all machines share
    and which survives restarts. Under srun it is the name of the SLURM job.
    """
    slurm_name = read_slurm_job_name(environment)
    if slurm_name is not None or not is_externally_launched(environment):
        return slurm_name or proposal
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise ValueError("run.name must be given when neither torchrun nor srun starts the processes, got none")
    return _open_agent_store(environment).compare_set("gantry/run.name", "", proposal).decode()


def set_up_rendezvous(environment: MutableMapping[str, str] = os.environ) -> None:
    """Choose a new port for the rendezvous of the processes after a restart by torchrun.

    The store of torchrun's agent still holds the addresses of the dead processes, and reading one would hang.
    """
    store = _open_agent_store(environment)
    key = f"gantry/port/{environment['TORCHELASTIC_RESTART_COUNT']}"
    if environment["RANK"] == "0":
        store.set(key, str(find_free_port()))
    environment["MASTER_PORT"] = store.get(key).decode()
    environment["TORCHELASTIC_USE_AGENT_STORE"] = "False"


def find_free_port() -> int:
    """Return a TCP port that no process uses."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _open_agent_store(environment: Mapping[str, str]) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    port = int(environment["MASTER_PORT"])
    return TCPStore(environment["MASTER_ADDR"], port, is_master=False, timeout=STORE_TIMEOUT)


def is_restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if torchrun has restarted these processes after one of them died."""
    return is_externally_launched(environment) and int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_world_size(devices: int, nodes: int, ranks: Ranks) -> None:
    """Raise ValueError unless a trainer of `devices` processes on each of `nodes` machines fits how it was started."""
    if is_externally_launched() and (devices, nodes) != (ranks.local_world_size, ranks.num_nodes):
        raise ValueError(
            f"trainer must be ddp_multinode for the {ranks.world_size} processes that torchrun or srun has started, "
            f"got one of {devices * nodes}"
        )
    if not is_externally_launched() and nodes > 1:
        raise ValueError(f"trainer.num_nodes must be 1 unless torchrun or srun starts the processes, got {nodes}")
