"""Where this process stands among those that run a job: what torchrun, srun or a parent of ours says of it."""

import os
import re
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PARENT_VARIABLE = "GANTRY_PARENT"  # number of the process that started this one as a further rank of its job
STORE_TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True)
class Ranks:
    """Process `rank` of `size`, the `local_rank`-th of `local_size` on its machine."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @property
    def num_nodes(self) -> int:
        """Number of machines."""
        return self.world_size // self.local_world_size


def read_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """The place of this process; of one on its own, the only one."""
    if PARENT_VARIABLE in environment:
        rank, size = int(environment["LOCAL_RANK"]), int(environment["WORLD_SIZE"])
        return Ranks(rank, rank, size, size)
    if not is_externally_launched(environment):
        return Ranks()
    rank, local_rank, size = (int(environment[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return Ranks(rank, local_rank, size, int(environment.get("LOCAL_WORLD_SIZE", size)))


def is_externally_launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether something else than Gantry has started the processes of this job, as torchrun does."""
    return PARENT_VARIABLE not in environment and {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= environment.keys()


def export_srun_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Say what srun says of this process in the words of torchrun; nothing for a step of one task.

    The variables of the step are those that srun alone sets: a batch script without srun is one process.
    """
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks == 1 or is_externally_launched(environment) or PARENT_VARIABLE in environment:
        return
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    if tasks % nodes:
        raise ValueError(f"srun must start equally many tasks on every node, got {tasks} tasks on {nodes} nodes")
    own = {
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_WORLD_SIZE": str(tasks // nodes),
        "GROUP_RANK": environment.get("SLURM_NODEID", "0"),
    }
    environment.update(own)
    environment.setdefault("MASTER_ADDR", parse_first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    environment.setdefault("MASTER_PORT", str(choose_slurm_port(environment)))


def parse_first_host(nodes: str) -> str:
    """The first name in a list of SLURM's: `gpu[03-05,9],login` -> `gpu03`."""
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", nodes).split(",")[0]


def choose_slurm_port(environment: Mapping[str, str]) -> int:
    """A port that all tasks of a step find by themselves, and other steps on the same machine most likely do not."""
    job, step = (int(environment.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return 15000 + (job + 1009 * step) % 10000


def read_slurm_job_name(environment: Mapping[str, str] = os.environ) -> str | None:
    """The name that srun gives a job of several tasks, None elsewhere: all know it, and it outlasts a requeue."""
    if (
        not is_externally_launched(environment)
        or "TORCHELASTIC_RUN_ID" in environment
        or "SLURM_JOB_ID" not in environment
    ):
        return None
    array, task = (environment.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else environment["SLURM_JOB_ID"]
    return f"slurm-{job}.{environment.get('SLURM_STEP_ID', 0)}"


def agree_on_run_name(mine: str, environment: Mapping[str, str] = os.environ) -> str:
    """One name for all processes of a job: `mine` for a process on its own.

    Under torchrun it is what the first process proposes to the store that the agent of torchrun keeps for them, on
    all machines and across restarts; under srun the name of the job.
    """
    lasting = read_slurm_job_name(environment)
    if lasting is not None or not is_externally_launched(environment):
        return lasting or mine
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise ValueError("run.name must be given when neither torchrun nor srun starts the processes, got none")
    return _open_agent_store(environment).compare_set("gantry/run.name", "", mine).decode()


def set_up_rendezvous(environment: MutableMapping[str, str] = os.environ) -> None:
    """After a restart, have the processes meet at a store of their own.

    That of torchrun's agent still holds the addresses of those that have died, and whoever reads one waits for them.
    """
    store = _open_agent_store(environment)
    key = f"gantry/port/{environment['TORCHELASTIC_RESTART_COUNT']}"
    if environment["RANK"] == "0":
        store.set(key, str(find_free_port()))
    environment["MASTER_PORT"] = store.get(key).decode()
    environment["TORCHELASTIC_USE_AGENT_STORE"] = "False"


def find_free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _open_agent_store(environment: Mapping[str, str]) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    port = int(environment["MASTER_PORT"])
    return TCPStore(environment["MASTER_ADDR"], port, is_master=False, timeout=STORE_TIMEOUT)


def is_restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun has started these processes before, and one of them died."""
    return is_externally_launched(environment) and int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_world_size(devices: int, nodes: int, here: Ranks) -> None:
    """A trainer of so many processes on each of so many machines is what was started, or can be from here."""
    if is_externally_launched() and (devices, nodes) != (here.local_world_size, here.num_nodes):
        raise ValueError(
            f"trainer must be ddp_multinode for the {here.world_size} processes that torchrun or srun has started, "
            f"got one of {devices * nodes}"
        )
    if not is_externally_launched() and nodes > 1:
        raise ValueError(f"trainer.num_nodes must be 1 unless torchrun or srun starts the processes, got {nodes}")
