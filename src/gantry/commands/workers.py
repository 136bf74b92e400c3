"""The processes of one job on one machine, started as torchrun would start them.

Lightning can start them too, but its children run the parent's command line again: in a sweep that is the whole
sweep. Here each child runs the one job of its parent, in its parent's folder, and is gone when the job ends.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hydra.core.hydra_config import HydraConfig
from torch import distributed as dist

from gantry.config.compose import CONFIG_DIR
from gantry.distributed.environment import (
    PARENT_VARIABLE,
    find_free_port,
    is_externally_launched,
    is_restarted,
    set_up_rendezvous,
)
from gantry.errors import RunError

RANK_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "OMP_NUM_THREADS")
TRAIN_SCRIPT = CONFIG_DIR.parent / "src" / "train.py"  # not sys.argv[0], which may be a launcher's
RANK_0_OVERRIDES = (
    "hydra.",
    "hydra/",
    "launcher=",
    "resume=",
    "run.auto_resume=",
)  # how it was started, not what it does
POLL_SECONDS = 0.5  # seconds between two looks at the children
EXIT_DELAY = 2.0  # seconds that may pass between the loss of a connection and the end of the process behind it
EXIT_TIMEOUT = 60.0  # seconds that a child may take to end after this process
TERMINATE_TIMEOUT = 10.0  # seconds between asking a child to end and killing it
WORKER_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
OK_STATUSES = (0, *(128 + number for number in WORKER_STOP_SIGNALS))  # exit statuses of a run that ended as asked


@contextmanager
def worker_processes(count: int, resume: str | None = None) -> Iterator[None]:
    """Inside, `count - 1` further processes run the job that this one runs; afterwards none is left.

    `resume` is the run that this process goes on with: the others do as it does, and decide nothing themselves.
    """
    if PARENT_VARIABLE in os.environ:
        threading.Thread(target=watch_parent, args=(int(os.environ[PARENT_VARIABLE]),), daemon=True).start()
    if count == 1 or PARENT_VARIABLE in os.environ or is_externally_launched():
        if is_restarted():
            set_up_rendezvous()
        try:
            yield
        finally:
            close_process_group()
        return
    before, threads = {name: os.environ.get(name) for name in RANK_VARIABLES}, torch.get_num_threads()
    os.environ |= make_rank_variables(count)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    children = [start_worker(rank, resume) for rank in range(1, count)]
    over = threading.Event()
    threading.Thread(target=watch_workers, args=(children, over), daemon=True).start()
    try:
        with report_worker_failure(children, over):
            yield
        wait_for_workers(children)
    finally:
        stop_workers(children, over)
        restore_environment(before)
        torch.set_num_threads(threads)


@contextmanager
def report_worker_failure(children: list[subprocess.Popen[bytes]], over: threading.Event) -> Iterator[None]:
    """Inside, an error that comes of a child's end, such as a lost connection, is told as what it is.

    Whatever the error, the other children are killed at once: they would only tell of the connection to this process.
    """
    try:
        yield
    except RuntimeError as error:
        failed = [] if isinstance(error, RunError) else find_failed_statuses(children)
        over.set()
        for child in children:
            child.kill()
        if not failed:
            raise
        raise RunError(f"a process of this run ended with exit status {failed[0]}") from error


def find_failed_statuses(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit statuses of the children that have failed; a connection may be lost a moment before its process is gone."""
    deadline = time.monotonic() + EXIT_DELAY
    while True:
        failed = [child.returncode for child in children if child.poll() not in (None, *OK_STATUSES)]
        if failed or time.monotonic() > deadline:
            return failed
        time.sleep(0.05)


def make_rank_variables(count: int) -> dict[str, str]:
    """What all ranks must agree on, and rank 0's own number."""
    threads = max(1, torch.get_num_threads() // count)  # together, as many as one process alone would take
    values = ("127.0.0.1", str(find_free_port()), str(count), "0", "0", str(threads))
    return dict(zip(RANK_VARIABLES, values))


def start_worker(rank: int, resume: str | None) -> subprocess.Popen[bytes]:
    """Another process for this job, as its rank `rank`."""
    config = HydraConfig.get()
    job = [word for word in config.overrides.task if not word.startswith(RANK_0_OVERRIDES)]
    folder = f'hydra.run.dir="{config.runtime.output_dir}"'
    same = [f'++resume="{resume}"' if resume else "++resume=null", "++run.auto_resume=false"]
    command = [sys.executable, str(TRAIN_SCRIPT), *job, *same, folder, "hydra.mode=RUN"]
    own = {"LOCAL_RANK": str(rank), PARENT_VARIABLE: str(os.getpid())}
    return subprocess.Popen(command, env=os.environ | own, stdin=subprocess.DEVNULL)


def wait_for_workers(children: list[subprocess.Popen[bytes]]) -> None:
    """Wait until the children have ended; raises RunError for one that ends badly, or not at all."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    for child in children:
        try:
            status = child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunError(f"a process of this run had not ended {EXIT_TIMEOUT:g} s after the others") from None
        if status not in OK_STATUSES:
            raise RunError(f"a process of this run ended with exit status {status}")


def watch_workers(children: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """End this process when any child fails: the ranks that are left would wait for it for ever.

    A signal that kills a child is a failure too (its status is negative), but for ours, which follows on `over`.
    """
    while not over.wait(POLL_SECONDS):
        failed = [child.returncode for child in children if child.poll() not in (None, *OK_STATUSES)]
        if failed and not over.is_set():
            print(f"error: a process of this run ended with exit status {failed[0]}", file=sys.stderr, flush=True)
            os._exit(1)


def watch_parent(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def stop_workers(children: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """Leave no process behind, and no process group; who watches the children is told first that it is `over`."""
    over.set()
    for child in children:
        child.terminate()
    deadline = time.monotonic() + TERMINATE_TIMEOUT
    for child in children:
        try:
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    close_process_group()


def close_process_group() -> None:
    """Forget the other processes of the job, so that the next job can meet its own."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def restore_environment(before: dict[str, str | None]) -> None:
    """Forget the variables, so that the next job of a sweep starts afresh."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
