"""The number of processes of a run, and the end of all of them when one fails."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from compose_config import compose_config
from gantry.commands import workers
from gantry.commands.hardware import count_processes
from gantry.commands.train import train
from gantry.commands.workers import (
    make_rank_variables,
    report_worker_failure,
    stop_workers,
    wait_for_workers,
    watch_workers,
)
from gantry.errors import RunError, UserError

Children = list[subprocess.Popen[bytes]]


class ExitCalled(BaseException):
    """Raised in place of os._exit, which would end the tests."""


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    def exit_(status: int) -> None:
        raise ExitCalled(status)

    monkeypatch.setattr(os, "_exit", exit_)
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.05)
    started: Children = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def run_shell(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", command])


@pytest.mark.parametrize(("shell_command", "status"), [("exit 3", 3), ("kill -9 $$", -9)])
def test_failed_child_ends_this_process(
    shell_command: str, status: int, children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    children += [run_shell("exec sleep 20"), run_shell(shell_command)]
    started = time.monotonic()
    with pytest.raises(ExitCalled, match="1"):
        watch_workers(children, threading.Event())
    assert time.monotonic() - started < 10
    assert capsys.readouterr().err == f"error: a process of this run ended with exit status {status}\n"


def test_lost_connection_is_reported_as_the_exit_status_of_the_child(children: Children) -> None:
    finished = threading.Event()
    children += [run_shell("exec sleep 20"), run_shell("kill -9 $$")]
    children[1].wait()
    with (
        pytest.raises(RunError, match=r"^a process of this run ended with exit status -9$"),
        report_worker_failure(children, finished),
    ):
        raise RuntimeError("Connection closed by peer")
    assert finished.is_set()
    assert children.pop(0).wait(timeout=5) == -9
    children.insert(0, run_shell("exit 0"))
    children[0].wait()
    with pytest.raises(RuntimeError, match=r"^mine$"), report_worker_failure(children[:1], finished):
        raise RuntimeError("mine")
    with pytest.raises(RunError, match=r"loss/D is nan"), report_worker_failure(children, finished):
        raise RunError("loss/D is nan")


def test_connection_may_be_lost_before_the_child_has_ended(children: Children) -> None:
    children += [run_shell("sleep 0.3; exit 9")]
    with (
        pytest.raises(RunError, match=r"^a process of this run ended with exit status 9$"),
        report_worker_failure(children, threading.Event()),
    ):
        raise RuntimeError("Connection reset by peer")


def test_successful_and_stopped_children_are_not_failures(children: Children) -> None:
    children += [run_shell("exec sleep 20"), run_shell("exit 0"), run_shell("exit 143")]
    finished = threading.Event()
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            watch_workers(children, finished)
        except ExitCalled as failure:
            failures.append(failure)

    watcher = threading.Thread(target=watch)
    watcher.start()
    children[1].wait()
    children[2].wait()
    time.sleep(0.2)
    assert watcher.is_alive()
    stop_workers(children, finished)
    watcher.join(timeout=10)
    assert children[0].wait() < 0
    assert (watcher.is_alive(), failures) == (False, [])


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 3)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(("devices", "count"), [("-1", 3), ("auto", 3), ("[0,2]", 2), ("[1]", 1), ("2", 2), ("1", 1)])
def test_process_count_follows_trainer_devices(devices: str, count: int) -> None:
    cfg = compose_config("trainer=ddp", f"trainer.devices={devices}", "data.batch_size=96")
    assert count_processes(cfg) == count


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(("devices", "rule"), [("4", "at most 3"), ("[0,3]", "numbers below 3")])
def test_more_gpus_than_present_are_refused(devices: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.devices must be {rule}, the CUDA devices here, got "):
        compose_config("trainer=ddp", f"trainer.devices={devices}", "data.batch_size=96")


def test_hanging_child_is_killed(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TERMINATE_TIMEOUT", 0.3)
    monkeypatch.setattr(workers, "EXIT_TIMEOUT", 0.3)
    ready = "trap '' TERM; echo; while :; do sleep 0.1; done"
    hanging = subprocess.Popen(["sh", "-c", ready], stdout=subprocess.PIPE)
    assert hanging.stdout is not None
    hanging.stdout.readline()
    children += [hanging, run_shell("exec sleep 20")]
    with pytest.raises(RuntimeError, match=r"had not ended 0\.3 s after the others"):
        wait_for_workers(children)
    stop_workers(children, threading.Event())
    assert [child.returncode for child in children] == [-signal.SIGKILL, -signal.SIGTERM]


def test_child_that_fails_at_the_end_is_an_error(children: Children) -> None:
    children += [run_shell("exit 0"), run_shell("exit 138"), run_shell("exit 1")]
    with pytest.raises(RuntimeError, match="exit status 1"):
        wait_for_workers(children)


def test_ranks_split_the_threads_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for alone, each in ((8, 4), (1, 1)):
        monkeypatch.setattr("torch.get_num_threads", lambda alone=alone: alone)
        assert make_rank_variables(2)["OMP_NUM_THREADS"] == str(each)


def test_trainer_without_ddp_has_one_process() -> None:
    assert count_processes(compose_config()) == 1
    assert count_processes(compose_config("trainer=ddp_cpu", "trainer.devices=auto")) == 1


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize("devices", ["-1", "auto"])
def test_batch_size_must_be_divisible_by_the_counted_processes(devices: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.commands.train.silence_lightning", lambda: None)
    cfg = compose_config("trainer=ddp", f"trainer.devices={devices}", "optim.accumulate=2", "run.dir=nowhere")
    with pytest.raises(
        UserError, match=r"^data\.batch_size must be a multiple of 6 \(3 devices times 2 parts\), got 64"
    ):
        train(cfg)
    with pytest.raises(ValueError, match=r"data\.batch_size must be a multiple of 2 \(2 devices\), got 65"):
        compose_config("trainer=ddp", "trainer.devices=[0,1]", "data.batch_size=65")
