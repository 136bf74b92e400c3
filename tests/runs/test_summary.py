import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.runs.summary import read_best_score, read_summary, write_summary


def test_entries_are_added_and_replaced_completely(tmp_path: Path) -> None:
    assert read_summary(tmp_path) == {}
    write_summary(tmp_path, {"turns": 3, "last": {"fd_digits": 2.0, "kl": 1.0}})
    write_summary(tmp_path, {"last": {"fid": 1.5}, "best": {"fid": 1.5}})
    assert read_summary(tmp_path) == {"turns": 3, "last": {"fid": 1.5}, "best": {"fid": 1.5}}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_the_summary_is_valid_json(tmp_path: Path) -> None:
    write_summary(tmp_path, {"last": {"fid": math.nan, "shape": (3, 2), "kid": [math.inf]}})
    text = (tmp_path / "summary.json").read_text()
    expected = {"last": {"fid": None, "shape": [3, 2], "kid": [None]}}
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == expected


def test_the_best_score_is_that_of_the_selection_and_not_of_the_report(tmp_path: Path) -> None:
    assert read_best_score(tmp_path, "fid") is None
    reported = {"best": {"scores": {"fid": 3.0}}}
    write_summary(tmp_path, {"best": {"scores": {"fid": 2.0, "kid": math.nan}}, "report": reported})
    assert read_best_score(tmp_path, "fid") == 2.0
    assert read_best_score(tmp_path, "kid") is read_best_score(tmp_path, None) is None


def test_a_damaged_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"last": ')
    with pytest.raises(ValueError, match=r"summary\.json must be JSON, got .*summary\.json"):
        write_summary(tmp_path, {"turns": 1})


ADD = """
import sys
from pathlib import Path
from gantry.runs.summary import add_evaluation
for i in range(20):
    add_evaluation(Path(sys.argv[1]), {"of": sys.argv[2] + str(i)})
"""


def test_evaluations_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    src = Path(__file__).parents[2] / "src"
    processes = [subprocess.Popen([sys.executable, "-c", ADD, str(tmp_path), name], cwd=src) for name in "abc"]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    names = [entry["of"] for entry in read_summary(tmp_path)["evaluations"]]
    assert sorted(names) == sorted(f"{name}{i}" for name in "abc" for i in range(20))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
