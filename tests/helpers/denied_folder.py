"""A folder that cannot be looked into, also for root."""

import os
from pathlib import Path

import pytest


def deny_folder(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make listing a folder of this name fail."""
    scan = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
