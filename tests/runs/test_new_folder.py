"""When the folder of an earlier start may be taken by a new run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.errors import UserError
from gantry.runs.lock import lock_run_folder
from gantry.runs.new_folder import (
    check_new_folder,
    check_output_writable,
    check_resumed_folder,
    check_writable,
    remove_failed_start,
    remove_unused_folder,
)

RESULTS: dict[str, Callable[[Path], object]] = {
    "checkpoints/last.ckpt": Path.touch,
    "generator/last/model.safetensors": Path.touch,
    "metrics.csv": lambda path: path.write_text("turn,kimg\n0,0\n5,0.1\n"),
    "summary.json": lambda path: path.write_text('{"turns": 5}'),
}


def write_failed_start(folder: Path) -> None:
    """Write what a run leaves that fails in its first turn."""
    for name, text in {"config.yaml": "turns: 6", "metrics.csv": "turn,kimg\n0,0\n", "train.log": "bug"}.items():
        (folder / name).write_text(text)
    (folder / "summary.json").write_text('{"start": {}}')
    for path in (folder / "samples" / "000000.png", folder / "wandb" / "run_id.txt", folder / "wandb" / "log"):
        path.parent.mkdir(exist_ok=True)
        path.touch()


def test_a_failed_start_is_no_run(tmp_path: Path) -> None:
    write_failed_start(tmp_path)
    check_new_folder(tmp_path)
    remove_failed_start(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["log", "train.log"]


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_not_overwritten(name: str, tmp_path: Path) -> None:
    write_failed_start(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    RESULTS[name](tmp_path / name)
    remedy = "use resume=" if name.endswith("ckpt") else "delete it"
    with pytest.raises(UserError, match=rf"^run\.name must be new \(or {remedy}"):
        check_new_folder(tmp_path)


def test_the_folder_of_a_refused_command_goes_with_its_empty_log_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for text, exists in (("", False), ("warning", True)):
        folder.mkdir()
        (folder / ".lock").touch()
        (folder / "train.log").write_text(text)
        remove_unused_folder(folder)
        assert folder.exists() == exists
    remove_unused_folder(tmp_path / "missing")


def test_the_folder_of_a_run_that_still_reads_its_data_stays(tmp_path: Path) -> None:
    """It holds an empty log and a lock, like that of a refused command; a second start is refused meanwhile."""
    folder = tmp_path / "run"
    with lock_run_folder(folder):
        (folder / "train.log").touch()
        remove_unused_folder(folder)
        assert (folder / "train.log").exists()
    remove_unused_folder(folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable("run.dir", tmp_path / "new" / "run")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^run\.dir must be a folder that can be written, got .*/file is a file$"):
        check_writable("run.dir", tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)
    with pytest.raises(UserError, match=r"^resume must be a folder .* is read-only$"):
        check_writable("resume", tmp_path)


def test_what_lies_in_a_folder_that_may_not_be_looked_into_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visible = {*tmp_path.parents, tmp_path}
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and path in visible)
    rule = "out must be where a file can be written"
    with pytest.raises(UserError, match=rf"^{rule}, got {tmp_path}/a/b: {tmp_path} is read-only$"):
        check_output_writable("out", tmp_path / "a" / "b")
    visible.add(Path("/dev/null"))
    with pytest.raises(UserError, match=rf"^{rule}, got /dev/null/a: /dev/null is not a folder$"):
        check_output_writable("out", Path("/dev/null/a"))


@pytest.mark.parametrize("name", [".", "checkpoints", "generator/last"])
def test_a_run_is_not_resumed_where_its_checkpoints_or_generators_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for folder in ("checkpoints", "generator/last"):
        (tmp_path / folder).mkdir(parents=True)
    check_resumed_folder(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK or path != tmp_path / name)
    with pytest.raises(UserError, match=rf"^resume must be a folder that can be written, got {tmp_path / name}: "):
        check_resumed_folder(tmp_path)
