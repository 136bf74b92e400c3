"""The help of the commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from compose_config import list_choices
from gantry.commands.help import format_help
from gantry.config import resolvers

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _resolvers() -> None:
    resolvers.register_resolvers()


def test_the_help_of_training_lists_every_choice() -> None:
    text = format_help("train", [])
    assert text.startswith("python src/train.py: every group below is a choice")
    for group in ("model", "loss", "data", "trainer", "hardware"):
        assert f"\n{group}: {', '.join(list_choices(group))}\n" in text
    assert "\nloss/term: approximate_r1, " in text
    assert "\nturns: 1200\n" in text
    assert "hydra:" not in text


def test_the_help_of_sampling_has_keys_and_no_choices() -> None:
    text = format_help("sample", [])
    assert "Choices" not in text
    assert "\nwhat: grid\n" in text


def test_overrides_show_in_the_keys() -> None:
    assert "\nturns: 7\n" in format_help("train", ["turns=7"])


@pytest.mark.parametrize("name", ["train", "evaluate", "sample", "compare", "workspace"])
def test_every_command_has_help(name: str) -> None:
    assert format_help(name, []).startswith(f"python src/{name}.py")


def test_help_ends_with_status_0_and_writes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "src" / "train.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Choices (GROUP=CHOICE)" in done.stdout
    assert list(tmp_path.iterdir()) == []
