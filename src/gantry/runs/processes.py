"""The processes of one job on one machine, started as torchrun would start them.

Lightning can start them too, but its children run the parent's command line again: in a sweep that is the whole
sweep. Here each child runs the one job of its parent, in its parent's folder, and is gone when the job ends.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hydra.core.hydra_config import HydraConfig
from torch import distributed as dist

from gantry.runs.errors import RunError

VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "OMP_NUM_THREADS")
PARENT = "GANTRY_PARENT"
POLL = 0.5  # seconds between two looks at the children
WELL = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit statuses of a run that ended as asked


@contextmanager
def processes(count: int) -> Iterator[None]:
    """Inside, `count - 1` further processes run the job that this one runs; afterwards none is left."""
    if PARENT in os.environ:
        threading.Thread(target=end_without, args=(int(os.environ[PARENT]),), daemon=True).start()
    if count == 1 or "LOCAL_RANK" in os.environ:  # alone, or started by torchrun, SLURM or a parent
        yield
        return
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ |= shared_variables(count)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    children = [start(rank) for rank in range(1, count)]
    over = threading.Event()
    threading.Thread(target=end_with, args=(children, over), daemon=True).start()
    try:
        with blamed(children, over):
            yield
        for child in children:
            if child.wait(timeout=60) not in WELL:
                raise RuntimeError(f"a process of this run ended with exit status {child.returncode}")
    finally:
        end(children, over)
        restore(before)


@contextmanager
def blamed(children: list[subprocess.Popen[bytes]], over: threading.Event) -> Iterator[None]:
    """Inside, an error that comes of a child's end, such as a lost connection, is told as what it is.

    Whatever the error, the other children are killed at once: they would only tell of the connection to this process.
    """
    try:
        yield
    except RuntimeError as error:
        failed = [child.returncode for child in children if child.poll() not in (None, *WELL)]
        over.set()
        for child in children:
            child.kill()
        if not failed or isinstance(error, RunError):
            raise
        raise RunError(f"a process of this run ended with exit status {failed[0]}") from error


def shared_variables(count: int) -> dict[str, str]:
    """What all ranks must agree on, and rank 0's own number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    values = ("127.0.0.1", str(port), str(count), "0", "0", threads)
    return dict(zip(VARIABLES, values))


def start(rank: int) -> subprocess.Popen[bytes]:
    """Another process for this job, as its rank `rank`."""
    config = HydraConfig.get()
    job = [word for word in config.overrides.task if not word.startswith("hydra.")]
    folder = f'hydra.run.dir="{config.runtime.output_dir}"'
    command = [sys.executable, sys.argv[0], *job, folder, "hydra.mode=RUN"]
    own = {"LOCAL_RANK": str(rank), PARENT: str(os.getpid())}
    return subprocess.Popen(command, env=os.environ | own, stdin=subprocess.DEVNULL)


def end_with(children: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """End this process when any child fails: the ranks that are left would wait for it for ever.

    A signal that kills a child is a failure too (its status is negative), but for ours, which follows on `over`.
    """
    while not over.wait(POLL):
        failed = [child.returncode for child in children if child.poll() not in (None, *WELL)]
        if failed and not over.is_set():
            print(f"error: a process of this run ended with exit status {failed[0]}", file=sys.stderr, flush=True)
            os._exit(1)


def end_without(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def end(children: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """Leave no process behind, and no process group; who watches the children is told first that it is `over`."""
    over.set()
    for child in children:
        child.terminate()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def restore(before: dict[str, str | None]) -> None:
    """Forget the variables, so that the next job of a sweep starts afresh."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
