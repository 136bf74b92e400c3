"""One process at a time in a run folder, and none once it is dead."""

import subprocess
import sys
from pathlib import Path

import pytest

from gantry.runs.lock import check_unlocked, lock_run_folder

SRC = Path(__file__).parents[2] / "src"
HOLD = """
import sys
from pathlib import Path
from gantry.runs.lock import lock_run_folder
with lock_run_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that trains in the folder, as far as the lock can tell."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=SRC, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(
            ValueError, match=rf"^run\.dir must be a folder in which no other process trains, got {tmp_path}$"
        ),
        lock_run_folder(tmp_path, wait=0.2),
    ):
        raise AssertionError
    holder.kill()
    holder.communicate()
    with lock_run_folder(tmp_path, wait=0.2):
        pass


def test_checking_a_lock_writes_no_file(tmp_path: Path) -> None:
    check_unlocked(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with lock_run_folder(tmp_path, wait=0.2):
        pass
    check_unlocked(tmp_path)


def test_a_file_system_without_locks_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with lock_run_folder(tmp_path, wait=0.2):
        pass
    assert "has no locks" in caplog.text
