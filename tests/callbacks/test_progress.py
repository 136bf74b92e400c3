"""A bar in a terminal, lines in the log elsewhere."""

import io
import logging
import sys

import pytest
import torch

from gantry.callbacks import progress
from gantry.callbacks.progress import ProgressReporter, format_progress
from stubs import TinyGan, call_hooks, make_trainer_stub

LOSSES = {"loss/D": torch.tensor(1.386294), "loss/G": torch.tensor(0.693147), "loss/D/r1": torch.tensor(3.0)}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_it_says() -> None:
    assert format_progress(1234.5, LOSSES, 4321.2) == "1,234.5 kimg | D 1.39 G 0.693 | 4,321 img/s | "


def test_without_a_terminal_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    call_hooks(ProgressReporter(seconds=10), make_trainer_stub(), TinyGan(turns=25), 25, lambda _: LOSSES)
    assert [record.getMessage() for record in caplog.records] == [  # a turn takes a second
        "turn 10/25 | 0.6 kimg | D 1.39 G 0.693 | 64 img/s | 00:15 left",
        "turn 20/25 | 1.3 kimg | D 1.39 G 0.693 | 64 img/s | 00:05 left",
        "turn 25/25 | 1.6 kimg | D 1.39 G 0.693 | 64 img/s | 00:00 left",
    ]
    assert sys.stderr.getvalue() == ""


def test_in_a_terminal_a_bar_that_starts_where_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    call_hooks(
        ProgressReporter(),
        make_trainer_stub(),
        TinyGan(turns=2000, turn=1000),
        2000,
        lambda _: LOSSES,
        between=lambda gan: gan.turn == 1500 and logging.getLogger("x").warning("a message"),
    )
    root.removeHandler(handler)
    shown = sys.stderr.getvalue().replace("\r", "\n").splitlines()
    assert any(line.startswith(" 50% |") and "turn 1,000/2,000" in line for line in shown)
    assert "a message" in [line.strip() for line in shown]  # on a line of its own
    assert "turn 2,000/2,000 | 128.0 kimg | D 1.39 G 0.693 |" in shown[-1]
    assert shown[-1].endswith("00:00 left")


def test_other_processes_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call_hooks(ProgressReporter(seconds=0), make_trainer_stub(rank=1), TinyGan(turns=3), 3, lambda _: LOSSES)
    assert not caplog.records
