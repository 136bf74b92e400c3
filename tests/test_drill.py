"""A short fault drill: two killed runs, and every other fault of a single process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_runs_survive_every_fault(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "drill.py"), "--kills", "2", "--ranks", "0"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    rows = [line for line in result.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7, result.stderr
    assert [row for row in rows if not row.endswith("| yes |")] == []
    assert len(re.findall(r"\| equal \|", result.stdout)) == 6
    assert result.returncode == 0
