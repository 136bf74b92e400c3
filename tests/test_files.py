"""File writes on a full disk: old files are unchanged, and no partial file is left."""

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from full_disk import simulate_full_disk
from gantry.callbacks.checkpoints import CheckpointWriter, InPlaceCheckpointIO
from gantry.errors import RunError, disk_errors
from gantry.figures.image_grid import write_png
from gantry.files import (
    LogFile,
    atomic_write,
    check_links,
    check_output_file,
    optional_write,
    remove_partial_files,
    write_text,
)
from gantry.loggers.csv_logger import CsvLogger
from gantry.runs.generator import load_saved_generator, save_generator
from gantry.runs.metrics_csv import read_columns
from gantry.runs.summary import read_summary, write_summary
from stubs import TinyGan

MLP = {
    **{"_target_": "gantry.nets.mlp.Generator", "shape": [1, 4, 4], "z_dim": 3, "hidden": [5]},
    **{"norm": "none", "activation": "relu"},
}


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_failed_text_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RunError, match=r"a\.txt cannot be written: File too large$"), simulate_full_disk():
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert list_files(tmp_path) == {"a.txt"}


def test_other_errors_are_raised_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a") as part:
        part.write_text(str(1 / len(part.write_text("half") * "")))
    assert list_files(tmp_path) == set()


def test_failed_writes_keep_metrics_and_summary(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for turn in range(3):
        logger.log_metrics({"a": 0.5}, step=turn)
    write_summary(tmp_path, {"turns": 3})
    with (
        pytest.raises(RunError, match=r"metrics\.csv cannot be written"),
        simulate_full_disk((tmp_path / "metrics.csv").stat().st_size + 2),
    ):
        logger.log_metrics({"a": 0.5}, step=3)
    assert read_columns(tmp_path)["turn"].tolist() == [0, 1, 2]
    with pytest.raises(RunError, match=r"summary\.json cannot be written"), simulate_full_disk():
        write_summary(tmp_path, {"turns": 4})
    assert read_summary(tmp_path) == {"turns": 3}
    assert list_files(tmp_path) == {"metrics.csv", "summary.json"}


def test_failed_export_keeps_the_old_generator(tmp_path: Path) -> None:
    from gantry.nets.mlp import Generator

    G = Generator((1, 4, 4), 3, hidden=[5], norm="none", activation="relu")
    save_generator(G, MLP, tmp_path / "last")
    before = load_saved_generator(tmp_path / "last").state_dict()
    nn.init.zeros_(next(G.parameters()))
    with pytest.raises(RunError, match=r"model\.safetensors cannot be written"), simulate_full_disk(200):
        save_generator(G, MLP, tmp_path / "last")
    torch.testing.assert_close(load_saved_generator(tmp_path / "last").state_dict(), before)
    assert list_files(tmp_path) == {"last/model.safetensors", "last/generator.json"}


class CheckpointSavingTrainer:
    """A stub of Lightning's trainer that only writes checkpoints."""

    is_global_zero, optimizers = True, ()

    def __init__(self, gan: Any) -> None:
        self.gan, self.strategy = gan, type("Strategy", (), {"barrier": lambda _: None})()

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        InPlaceCheckpointIO().save_checkpoint({"turn": self.gan.turn, "x": torch.zeros(5000)}, path)


def test_failed_checkpoint_write_keeps_the_old_checkpoints(tmp_path: Path) -> None:
    gan: Any = TinyGan()
    gan.G = gan.D = gan.G_ema
    callback, trainer = CheckpointWriter(str(tmp_path / "c"), every=1), CheckpointSavingTrainer(gan)
    for gan.turn in (1, 2):
        callback.write_last(trainer, gan)  # type: ignore[arg-type]
    gan.turn = 3
    with pytest.raises(RunError, match=r"last\.ckpt cannot be written: File too large$"), simulate_full_disk(15_000):
        callback.write_last(trainer, gan)  # type: ignore[arg-type]
    turns = {name: torch.load(tmp_path / "c" / name, weights_only=True)["turn"] for name in list_files(tmp_path / "c")}
    assert turns == {"before.ckpt": 1, "last.ckpt": 2}


def test_failed_optional_write_logs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with simulate_full_disk(10), optional_write():
        write_png(np.zeros((16, 16, 1), dtype=np.uint8), tmp_path / "a.png")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "a.png cannot be written: File too large" in caplog.text
    assert list_files(tmp_path) == set()


def test_log_file_drops_lines_silently_while_the_disk_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, handler = logging.Logger("own"), LogFile(tmp_path / "a.log")
    logger.addHandler(handler)
    logger.warning("one")
    with simulate_full_disk(4):
        logger.warning("two" * 10_000)
        logger.warning("three")
    assert capsys.readouterr().err == ""
    assert (tmp_path / "a.log").read_text() == "one\n"
    logger.warning("four")
    assert "four" in (tmp_path / "a.log").read_text()
    logger.warning("%d", "a wrong argument")
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_log_file_takes_any_path_in_any_locale(tmp_path: Path) -> None:
    script = "import logging, sys; from gantry.files import LogFile; log = logging.Logger('own'); "
    script += "log.addHandler(LogFile(sys.argv[1])); log.warning('\\u00fc \\udcff')"
    command = [sys.executable, "-X", "utf8=0", "-c", script, str(tmp_path / "a.log")]
    variables = os.environ | {"LC_ALL": "C", "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    result = subprocess.run(command, env=variables, capture_output=True, check=True)
    assert result.stderr == b""
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == "ü \\udcff\n"


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.EACCES, "PATH cannot be written: Permission denied"),
        (errno.EPERM, "PATH cannot be written: Operation not permitted"),
        (errno.EMFILE, "PATH cannot be opened: Too many open files. Allow more with ulimit -n"),
    ],
)
def test_what_the_operating_system_refuses_is_a_run_error(number: int, line: str) -> None:
    with pytest.raises(RunError) as caught, disk_errors():
        raise OSError(number, os.strerror(number), "PATH")
    assert str(caught.value) == line


def test_a_file_that_may_not_be_read_is_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    visible = {tmp_path, *tmp_path.parents}
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and path in visible)
    for path in (tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(RunError, match=rf"^{path} cannot be read: Permission denied$"), disk_errors():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_any_write_to_a_full_disk_is_a_run_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"^a file of the run cannot be written: File too large$"),
        disk_errors(),
        simulate_full_disk(),
    ):
        (tmp_path / "x").write_text("x")
    with pytest.raises(FileNotFoundError), disk_errors():
        (tmp_path / "nowhere" / "x").write_text("x")


def test_partial_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name in ("checkpoints/last.ckpt.part", "summary.json.123.part", "summary.json"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert list_files(tmp_path) == {"summary.json"}


def test_what_is_not_a_regular_file_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=r"^out must be a file, got .*pipe, which is something else$"):
        check_output_file("out", pipe)
    with pytest.raises(RunError, match=r"pipe cannot be written: pipe is not a regular file$"):
        write_text(pipe, "x")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
    check_output_file("out", tmp_path / "new")


def test_a_link_that_waits_where_a_file_is_begun_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "x.json.part").symlink_to(victim)
    with atomic_write(tmp_path / "x.json") as part:
        part.write_text("new")
    assert (victim.read_text(), (tmp_path / "x.json").read_text()) == ("mine", "new")


def test_links_that_lead_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / "a" / "wandb").mkdir(parents=True)
    (run / "inside").symlink_to(run / "a")
    (run / "a" / "wandb" / "log").symlink_to(outside)
    (tmp_path / "alias").symlink_to(run)
    for folder in (run, tmp_path / "alias"):
        check_links("resume", folder, besides=("wandb",))
    with pytest.raises(ValueError, match=r"^resume must be a folder without links that lead out of it, got .*log$"):
        check_links("resume", run)
    (run / "a" / "samples").symlink_to(outside)
    with pytest.raises(ValueError, match=r"got .*samples$"):
        check_links("resume", run, besides=("wandb",))
