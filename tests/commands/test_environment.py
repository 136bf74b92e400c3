"""Commands where the environment lacks something: a home folder, a wide terminal, a clock that can be trusted."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from gantry.commands import entry
from gantry.commands.train import format_tree
from gantry.config import resolvers
from subprocess_runs import ROOT, make_environment, run_training, start_command, wait_for_exit

TRAIN_PY = str(ROOT / "src" / "train.py")


def test_a_user_without_a_home_folder_has_the_root_as_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    entry.prepare_process()
    assert os.environ["HOME"] == "/somewhere"
    monkeypatch.delenv("HOME")
    entry.prepare_process()
    assert os.environ["HOME"] == str(Path.home())

    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", fail)
    entry.prepare_process()
    assert os.environ["HOME"] == "/"


def test_the_console_can_print_any_path(tmp_path: Path) -> None:
    words = ["compare.py", f"runs=[{tmp_path}]", "pictures=0", "out=\udcff.html"]
    run_training("turns=1", "run.name=first", folder=tmp_path)
    command = [sys.executable, str(ROOT / "src" / words[0]), *words[1:]]
    result = subprocess.run(command, cwd=tmp_path, env=make_environment(tmp_path), capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"\\udcff.html" in result.stdout
    assert (tmp_path / "\udcff.html").is_file()


def test_a_reader_that_has_ended_costs_no_line_beside_its_own(tmp_path: Path) -> None:
    run_training("turns=1", "run.name=first", folder=tmp_path)
    command = [sys.executable, str(ROOT / "src" / "compare.py"), f"runs=[{tmp_path}]", f"out={tmp_path}/a.html"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 141
    assert (tmp_path / "a.html").is_file()


def test_runs_that_start_within_a_second_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of its own reads the clock anew."""
    times = iter([f"2026-11-01 02:30:00.{fraction}" for fraction in ("000001", "000002")])

    class Clock(resolvers.datetime):
        @classmethod
        def now(cls, tz: object = None) -> resolvers.datetime:
            return cls.fromisoformat(next(times))

    monkeypatch.setattr(resolvers, "datetime", Clock)
    assert [resolvers.run_name() for _ in range(2)] == ["2026-11-01_02-30-00_000001", "2026-11-01_02-30-00_000002"]


@pytest.mark.parametrize(("command", "key"), [("evaluate", "output"), ("compare", "out")])
def test_so_have_evaluations_and_comparisons(command: str, key: str) -> None:
    resolvers.register_resolvers()
    node = OmegaConf.load(ROOT / "configs" / f"{command}.yaml")
    text = OmegaConf.to_container(node)[key]
    assert re.fullmatch(rf"\$\{{paths\.logs\}}/{command}/\$\{{now:%Y-%m-%d_%H-%M-%S_%f\}}", text)


def test_two_starts_at_once_train_two_runs(tmp_path: Path) -> None:
    processes = [start_command([sys.executable, TRAIN_PY, "turns=1"], tmp_path) for _ in range(2)]
    for process in processes:
        wait_for_exit(process)
    folders = sorted((tmp_path / "train").iterdir())
    assert len(folders) == 2
    assert all(json.loads((folder / "summary.json").read_text())["turns"] == 1 for folder in folders)


def test_of_two_starts_under_one_name_one_trains_and_one_is_refused(tmp_path: Path) -> None:
    words = [sys.executable, TRAIN_PY, "turns=1", "run.name=first"]
    processes = [start_command(words, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=900)[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2]
    refused = outputs[[process.returncode for process in processes].index(2)]
    assert re.fullmatch(r"error: run\.(dir|name) must be [^\n]*\n", refused.split("\n", refused.count("\n") - 1)[-1])
    assert "Traceback" not in refused


def test_the_tree_of_choices_fits_a_narrow_terminal() -> None:
    rows = {"model": "dcgan, G 1,234,567 and D 2,345,678 parameters", "folder": "/a/folder/without/any/blank/in/it"}
    assert format_tree("run", rows, width=40).splitlines() == [
        "run",
        "├─ model   dcgan, G 1,234,567 and D",
        "│          2,345,678 parameters",
        "└─ folder  /a/folder/without/any/blank/in/it",
    ]
    assert len(format_tree("run", rows, width=80).splitlines()) == 3


def test_a_clock_that_jumps_back_changes_no_duration(tmp_path: Path) -> None:
    """Durations are of the monotonic clock: a run whose clock jumps an hour back at each look has the same ones."""
    jump = "import itertools, time; hours = itertools.count(); real = time.time; "
    jump += "time.time = lambda: real() - 3600 * next(hours); "
    script = f"{jump} import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, {str(ROOT / 'src')!r}); "
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    start = time.monotonic()
    words = [TRAIN_PY, "run.name=first", "callbacks.scalars.every=1", "callbacks.progress.seconds=0"]
    output = wait_for_exit(start_command([sys.executable, "-c", script, *words], tmp_path))
    run = tmp_path / "train" / "first"
    assert 0 < json.loads((run / "summary.json").read_text())["seconds"] < time.monotonic() - start
    header, *rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    seconds = [float(row[header.index("speed/seconds")]) for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert all(float(row[header.index("speed/images_per_second")]) > 0 for row in rows)
    assert "-" not in " ".join(re.findall(r"(\S+) left", output))


def test_continuous_integration_runs_every_python_that_the_package_names() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    script = (ROOT / ".ci" / "run").read_text()
    assert {"make lint", "make test"} <= set(script.splitlines())
