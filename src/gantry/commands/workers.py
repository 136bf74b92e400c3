"""Start the further local ranks of a job, watch them, and stop them when the job ends.

Lightning can start them too, but its children run the parent's command line again: in a sweep that is the whole
sweep. Here each child runs only the job of its parent, in its parent's folder, and ends with the job.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hydra.core.hydra_config import HydraConfig
from torch import distributed as dist

from gantry.callbacks.signals import STOP_SIGNALS
from gantry.config.compose import CONFIG_DIR
from gantry.config.search_path import format_search_path, list_user_sources
from gantry.config.text_values import quote_text
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
# Overrides that say how rank 0 was started; the other ranks do not inherit them.
RANK_0_OVERRIDES = ("hydra.", "hydra/", "launcher=", "resume=", "run.auto_resume=")
POLL_SECONDS = 0.5  # between two checks of the children
EXIT_DELAY = 2.0  # seconds that a process may still exist after its connection was lost
EXIT_TIMEOUT = 60.0  # seconds that a child may take to end after this process
TERMINATE_TIMEOUT = 10.0  # seconds between SIGTERM and SIGKILL
OK_STATUSES = (0, *(128 + number for number in STOP_SIGNALS))  # exit statuses of a finished or stopped run


@contextmanager
def worker_processes(count: int, resume: str | None = None) -> Iterator[None]:
    """Run `count - 1` further processes of this job inside the block, and stop them at its end.

    `resume` is the run that this process resumes; the other processes resume the same one.
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
    environment, threads = {name: os.environ.get(name) for name in RANK_VARIABLES}, torch.get_num_threads()
    os.environ |= make_rank_variables(count)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    children = [start_worker(rank, resume) for rank in range(1, count)]
    finished = threading.Event()
    threading.Thread(target=watch_workers, args=(children, finished), daemon=True).start()
    try:
        with report_worker_failure(children, finished):
            yield
        wait_for_workers(children)
    finally:
        stop_workers(children, finished)
        restore_environment(environment)
        torch.set_num_threads(threads)


@contextmanager
def report_worker_failure(children: list[subprocess.Popen[bytes]], finished: threading.Event) -> Iterator[None]:
    """Re-raise an error caused by a dead child, such as a lost connection, as a RunError with its exit status.

    After any error the other children are killed at once: they would only report the lost connection to this process.
    """
    try:
        yield
    except RuntimeError as error:
        failed = [] if isinstance(error, RunError) else find_failed_statuses(children)
        finished.set()
        for child in children:
            child.kill()
        if not failed:
            raise
        raise RunError(f"a process of this run ended with exit status {failed[0]}") from error


def find_failed_statuses(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Return the exit statuses of the failed children; a connection may be lost shortly before its process ends."""
    deadline = time.monotonic() + EXIT_DELAY
    while True:
        failed = [child.returncode for child in children if child.poll() not in (None, *OK_STATUSES)]
        if failed or time.monotonic() > deadline:
            return failed
        time.sleep(0.05)


def make_rank_variables(count: int) -> dict[str, str]:
    """Return the rendezvous variables, which all ranks must share, with the numbers of rank 0."""
    threads = max(1, torch.get_num_threads() // count)  # in total as many as a single process would use
    values = ("127.0.0.1", str(find_free_port()), str(count), "0", "0", str(threads))
    return dict(zip(RANK_VARIABLES, values))


def start_worker(rank: int, resume: str | None) -> subprocess.Popen[bytes]:
    """Start rank `rank` of this job."""
    config = HydraConfig.get()
    overrides = [override for override in config.overrides.task if not override.startswith(RANK_0_OVERRIDES)]
    folder = f"hydra.run.dir={quote_text(config.runtime.output_dir)}"
    resumption = [f"++resume={quote_text(resume)}" if resume else "++resume=null", "++run.auto_resume=false"]
    hydra_overrides = [folder, format_search_path(list_user_sources()), "hydra.mode=RUN"]
    command = [sys.executable, str(TRAIN_SCRIPT), *overrides, *resumption, *hydra_overrides]
    variables = {"LOCAL_RANK": str(rank), PARENT_VARIABLE: str(os.getpid())}
    return subprocess.Popen(command, env=os.environ | variables, stdin=subprocess.DEVNULL)


def wait_for_workers(children: list[subprocess.Popen[bytes]]) -> None:
    """Wait until the children have ended; raises RunError if one fails or does not end."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    for child in children:
        try:
            status = child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunError(f"a process of this run had not ended {EXIT_TIMEOUT:g} s after the others") from None
        if status not in OK_STATUSES:
            raise RunError(f"a process of this run ended with exit status {status}")


def watch_workers(children: list[subprocess.Popen[bytes]], finished: threading.Event) -> None:
    """End this process when any child fails: the other ranks would wait for it for ever.

    A child killed by a signal (its status is negative) has failed too, unless we sent the signal after `finished`.
    """
    while not finished.wait(POLL_SECONDS):
        failed = [child.returncode for child in children if child.poll() not in (None, *OK_STATUSES)]
        if failed and not finished.is_set():
            print(f"error: a process of this run ended with exit status {failed[0]}", file=sys.stderr, flush=True)
            os._exit(1)


def watch_parent(parent: int) -> None:
    """End this process when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def stop_workers(children: list[subprocess.Popen[bytes]], finished: threading.Event) -> None:
    """Stop all children and the process group; `finished` is set first, so that the watcher ignores their end."""
    finished.set()
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
    """Destroy the process group of this job, so that the next job can create its own."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def restore_environment(variables: dict[str, str | None]) -> None:
    """Set or unset environment variables, so that the next job of a sweep starts as the first one did."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
