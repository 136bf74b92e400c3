"""Reading runs from their folders."""

import errno
import os
import re
from pathlib import Path

import pytest

from fake_runs import write_fake_run
from gantry.compare.find_runs import read_runs
from gantry.compare.run_record import read_run
from gantry.errors import UserError

BROKEN_FILES = {"config.yaml": "a: [1,\n2\n", "metrics.csv": "turn,a\nx,1\n", "summary.json": '{"a": [1,\n2'}
WANDB_ONLY = "it has only W&B files, and runs are read from config.yaml, metrics.csv and summary.json"


def write_wandb_files(folder: Path) -> Path:
    """Write what W&B leaves in a run folder, down to a config.yaml that is not Gantry's; return W&B's own folder."""
    own = folder / "wandb" / "offline-run-20250101_000000-abcd1234"
    (own / "files").mkdir(parents=True)
    (own / "run-abcd1234.wandb").write_bytes(b":W&B")
    (own / "files" / "config.yaml").write_text("seed:\n  value: 1\n")
    (folder / "wandb" / "latest-run").symlink_to(own, target_is_directory=True)
    return own


def test_a_folder_with_only_wandb_files_is_left_out_with_the_reason(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "run", "model=mlp")
    write_wandb_files(tmp_path / "only_wandb")
    result = read_runs([str(tmp_path)])
    assert [run.name for run in result.runs] == ["run"]
    assert result.unreadable == (f"only_wandb is left out: {WANDB_ONLY}",)


def test_wandb_files_alone_are_refused(tmp_path: Path) -> None:
    own = write_wandb_files(tmp_path / "only_wandb")
    for folder in (tmp_path / "only_wandb", own):
        with pytest.raises(ValueError, match=r"^runs must be folders of runs, got none that can be read: ") as caught:
            read_runs([str(folder)])
        assert str(caught.value).endswith(f"{folder.name} is left out: {WANDB_ONLY}")


def test_wandb_files_beside_runs_are_no_run(tmp_path: Path) -> None:
    write_wandb_files(write_fake_run(tmp_path / "run", "model=mlp"))
    write_wandb_files(tmp_path)
    result = read_runs([str(tmp_path)])
    assert ([run.name for run in result.runs], result.unreadable) == (["run"], ())


def test_a_run_without_metrics_csv_has_no_metrics(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", "model=dcgan")
    (run / "metrics.csv").unlink()
    assert read_run(run, "run").metrics == {}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_one_line(name: str, tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", "model=dcgan")
    (run / name).write_text(BROKEN_FILES[name])
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} must ") as caught:
        read_run(run, "run")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("job.json", '{"choices": 5}'),
        ("job.json", '{"pid": [1]}'),
        ("summary.json", '{"best": 5}'),
        ("summary.json", '{"report": {"best": {"scores": {"fd_digits": "1"}, "protocol": {}}}}'),
        ("summary.json", '{"report": {"best": {"scores": {}}}}'),
        ("summary.json", "5"),
        ("config.yaml", "turns: [1]"),
        ("config.yaml", "tags: ['${oc.env:SECRET}']"),
        ("metrics.csv", "turn,a\nx,1\n"),
    ],
)
def test_a_run_with_a_broken_file_is_left_out_and_the_line_names_it(name: str, text: str, tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp")
    (write_fake_run(tmp_path / "b", "model=dcgan") / name).write_text(text)
    result = read_runs([str(tmp_path)])
    assert [run.name for run in result.runs] == ["a"]
    (line,) = result.unreadable
    assert line.startswith(f"b is left out: {name} must ")


def test_links_in_a_circle_and_folders_that_cannot_be_read_do_not_stop_the_search(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "runs" / "a", "model=mlp")
    (tmp_path / "runs" / "itself").symlink_to("itself")
    (tmp_path / "runs" / "above").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "more").mkdir()
    (tmp_path / "runs" / "more" / "above").symlink_to(tmp_path)
    assert [run.name for run in read_runs([str(tmp_path)]).runs] == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permissions_does_not_stop_the_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_fake_run(tmp_path / "runs" / "a", "model=mlp")
    locked = tmp_path / "runs" / "locked"
    (locked / "inner").mkdir(parents=True)
    (tmp_path / "runs" / "link").symlink_to(locked / "inner")
    locked.chmod(0)
    try:
        assert [run.name for run in read_runs([str(tmp_path)]).runs] == ["a"]
    finally:
        locked.chmod(0o700)
    lines = [f"runs in {tmp_path / 'runs' / name} are left out: Permission denied" for name in ("link", "locked")]
    assert sorted(caplog.messages) == lines


def test_a_folder_whose_files_cannot_be_looked_at_does_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_fake_run(tmp_path / "runs" / "a", "model=mlp")
    (tmp_path / "runs" / "broken").mkdir()
    is_file = Path.is_file

    def fail_in_broken(path: Path) -> bool:
        if path.parent.name == "broken":
            raise OSError(errno.EIO, "Input/output error")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", fail_in_broken)
    assert [run.name for run in read_runs([str(tmp_path)]).runs] == ["a"]
    assert caplog.messages == [f"runs in {tmp_path / 'runs' / 'broken'} are left out: Input/output error"]


def test_a_folder_that_cannot_be_looked_at_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", fail)
    with pytest.raises(UserError, match=r"^runs must be folders of runs, got /locked/runs: Permission denied$"):
        read_runs(["/locked/runs"])


@pytest.mark.parametrize("name", ["job.json", "summary.json", "metrics.csv", "config.yaml"])
def test_a_file_that_is_a_link_in_a_circle_is_a_missing_one(name: str, tmp_path: Path) -> None:
    for run in ("a", "b"):
        write_fake_run(tmp_path / run, f"model={run}")
    (tmp_path / "b" / name).unlink()
    (tmp_path / "b" / name).symlink_to(name)
    result = read_runs([str(tmp_path)])
    assert result.runs[0].name == "a"
    assert len(result.runs) + len(result.unreadable) == 2


def test_a_name_of_any_bytes_is_text(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "r\udcff", "model=mlp")
    assert [run.name for run in read_runs([str(tmp_path)]).runs] == ["r\\xff"]
