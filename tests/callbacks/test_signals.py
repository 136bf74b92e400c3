"""How a run ends when it is told to."""

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.callbacks.signals import SignalHandler
from gantry.files import ConsoleHandler
from gantry.training.run_state import RunState
from subprocess_runs import CHECKPOINT_EVERY_TURN, TRAIN_PY, start_command, wait_until

SLEEPING = "++callbacks.scalars._target_=pausing_callback.SleepingScalars"


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[SignalHandler]:
    """The handler of a run whose checkpoint of turn 5 is written; os._exit raises SystemExit."""
    monkeypatch.setattr(os, "_exit", sys.exit)
    handler = SignalHandler()
    trainer: Any = SimpleNamespace(default_root_dir="RUN")
    gan: Any = SimpleNamespace(run_state=RunState(saved_at=5))
    handler.on_training_start(trainer, gan)
    yield handler
    handler.on_teardown(trainer, gan)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_same_signal_again_ends_at_once(
    number: int, handler: SignalHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    signal.raise_signal(number)
    assert handler.signal == number
    with pytest.raises(SystemExit) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    kept = "The checkpoint of turn 5 is kept. Resume with resume=RUN"
    assert capfd.readouterr().err == f"{signal.Signals(number).name} again: ended at once. {kept}\n"


@contextmanager
def without_reader_of_stderr() -> Iterator[None]:
    """Make the standard error of this process a pipe whose reader has ended."""
    before, (reader, writer) = os.dup(2), os.pipe()
    os.close(reader)
    os.dup2(writer, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(writer)


def test_the_same_signal_again_ends_also_where_nobody_can_read_why(handler: SignalHandler) -> None:
    signal.raise_signal(signal.SIGTERM)
    with without_reader_of_stderr(), pytest.raises(SystemExit) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM


def test_the_folder_of_the_last_line_may_have_any_bytes_in_its_name(
    handler: SignalHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    handler.folder = "r\udcff"
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    assert capfd.readouterr().err.endswith("Resume with resume=r\\udcff\n")


def test_of_two_signals_the_one_of_a_scheduler_counts(handler: SignalHandler) -> None:
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGTERM)
    assert handler.signal == signal.SIGUSR1


def test_output_without_a_reader_stops_the_run_however_often_it_is_written(handler: SignalHandler) -> None:
    class ClosedPipe(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    console = ConsoleHandler(ClosedPipe())
    for _ in range(2):
        console.handle(logging.LogRecord("x", logging.INFO, "", 0, "line", (), None))
    assert handler.signal == signal.SIGPIPE


def test_under_nohup_a_closed_terminal_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handler = SignalHandler()
    run: Any = SimpleNamespace(default_root_dir="RUN", run_state=RunState())
    try:
        handler.on_training_start(run, run)
        signal.raise_signal(signal.SIGHUP)
        assert handler.signal == 0
        handler.on_teardown(run, run)
    finally:
        signal.signal(signal.SIGHUP, before)


def start_run(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a run in `folder`/train/first and wait until it has done six turns."""
    process = start_command([sys.executable, TRAIN_PY, "run.name=first", CHECKPOINT_EVERY_TURN, *words], folder)
    run = folder / "train" / "first"
    wait_until(lambda: (run / "paused").exists() or "turn 6/" in read_log(run), process)
    return process


def read_log(run: Path) -> str:
    return (run / "train.log").read_text() if (run / "train.log").exists() else ""


def test_two_interrupts_end_a_long_turn_and_say_what_is_kept(tmp_path: Path) -> None:
    process = start_run(tmp_path, SLEEPING, "turns=8")
    run = tmp_path / "train" / "first"
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "SIGINT received" in read_log(run), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    line = f"SIGINT again: ended at once. The checkpoint of turn 6 is kept. Resume with resume={run}"
    assert output.splitlines()[-1] == line


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGPIPE])
def test_a_terminal_that_closes_and_a_reader_that_ends_cost_no_turn(number: int, tmp_path: Path) -> None:
    process = start_run(
        tmp_path, "turns=1000000", "callbacks.progress.seconds=0", "callbacks.checkpoints.every=1000000"
    )
    assert process.stdout is not None
    if number == signal.SIGHUP:
        process.send_signal(number)
    process.stdout.close()  # the terminal is gone, too
    assert process.wait(timeout=300) == 128 + number
    assert (tmp_path / "train" / "first" / "checkpoints" / "last.ckpt").is_file()
    assert "Traceback" not in read_log(tmp_path / "train" / "first")
