"""What the fuzzers share: a folder of their own for all that a command reads or writes, and no log."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No log, and the folders of the user and of the results in that of the test."""
    for name, folder in {"HOME": "home", "GANTRY_LOGS": "logs", "GANTRY_CACHE_DIR": "cache"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
