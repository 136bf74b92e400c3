"""Dispatch to loggers, and TensorBoard's files, read back."""

import os
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from full_disk import simulate_full_disk
from gantry.errors import RunError
from gantry.loggers.csv_logger import CsvLogger
from gantry.loggers.dispatch import (
    close_loggers,
    log_config,
    log_generator,
    log_histogram,
    log_image,
    log_metrics,
    log_summary,
    read_logger_id,
    rewind_loggers,
)
from gantry.loggers.mlflow_logger import MlflowLogger
from gantry.loggers.tensorboard_logger import TensorBoardLogger
from gantry.values import flatten
from stubs import RecordingLogger

PICTURE = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16, 1)


def test_flat_names() -> None:
    config = {"seed": 1, "optim": {"G": {"lr": 2e-4}, "betas": [0, 0.9]}, "loss": {"d_terms": {}}}
    named = {"seed": 1, "optim/G/lr": 2e-4, "optim/betas": [0, 0.9], "loss/d_terms": {}}
    assert flatten(config, "/") == named


def test_a_logger_without_support_is_skipped(tmp_path: Path) -> None:
    loggers = [CsvLogger(str(tmp_path)), CSVLogger(str(tmp_path))]
    log_image(loggers, "samples", PICTURE, 3)
    log_histogram(loggers, "logits", np.ones(3), 3)
    log_generator(loggers, tmp_path, {"turn": 3})
    log_summary(loggers, {"best/fid": 1.0})
    log_config(loggers, {"a": {"b": 1}}, {"model": "mlp"})
    rewind_loggers(loggers, 2)
    close_loggers(loggers, success=True)
    assert loggers[1].experiment.hparams == {"a/b": 1, "model": "mlp"}


class Lost(RecordingLogger):
    """A logger whose server goes away."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        super().log_metrics(metrics, step)
        if step > 1:
            raise ConnectionError("no route to\nhost")


def test_a_logger_that_fails_is_disabled(caplog: pytest.LogCaptureFixture) -> None:
    lost, working = Lost(), RecordingLogger()
    loggers = [lost, working]
    for turn in (1, 2, 3):
        log_metrics(loggers, {"a": 0.5}, turn, kimg=0.1)
        log_image(loggers, "samples", PICTURE, turn)
    assert [turn for turn, _ in working.rows] == [turn for _, turn, _ in working.images] == [1, 2, 3]
    assert [turn for turn, _ in lost.rows] == [1, 2]
    assert [turn for _, turn, _ in lost.images] == [1]
    assert caplog.messages == ["Lost failed: ConnectionError: no route to host. It is disabled for the rest of the run"]


def test_a_run_whose_numbers_cannot_be_written_fails(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"metrics\.csv cannot be written"), simulate_full_disk():
        log_metrics([CsvLogger(str(tmp_path))], {"a": 0.5}, 1, kimg=0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own thread
def test_tensorboard_on_a_full_disk_is_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = TensorBoardLogger(str(tmp_path))
    loggers = [logger]
    log_metrics(loggers, {"a": 0.5}, 1, kimg=0.1)
    logger.experiment.flush()
    with simulate_full_disk(300):
        for turn in range(2, 40):
            log_metrics(loggers, {f"name{turn}": 0.5}, turn, kimg=0.1)
            logger.save()
        logger.finalize("success")
    assert loggers == []
    assert caplog.messages[-1] == f"TensorBoard cannot write to {logger.log_dir}: File too large"


def read_tensorboard(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={IMAGES: 0})
    events.Reload()
    return events


def test_tensorboard_gets_numbers_and_pictures(tmp_path: Path) -> None:
    logger = TensorBoardLogger(str(tmp_path))
    log_config([logger], {"a": {"b": 1}}, {"model": "mlp"})
    logger.log_metrics({"loss/D": 0.5, "turn": 7}, step=7)
    log_image([logger], "samples", PICTURE, 7)
    log_histogram([logger], "logits/histogram/fake", np.array([1.0, 2.0, 2.5]), 7)
    log_summary([logger], {"best/fid": 12.5})
    logger.finalize("success")
    events = read_tensorboard(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("loss/D")] == [(7, 0.5)]
    assert [e.value for e in events.Scalars("best/fid")] == [12.5]
    (histogram,) = events.Histograms("logits/histogram/fake")
    assert (histogram.step, histogram.histogram_value.num, histogram.histogram_value.sum) == (7, 3, 5.5)
    image = events.Images("samples")[0]
    assert (image.step, image.width, image.height) == (7, 16, 12)


def test_tensorboard_drops_the_turns_that_a_resumed_run_repeats(tmp_path: Path) -> None:
    first = TensorBoardLogger(str(tmp_path))
    for turn in (10, 20, 30):
        first.log_metrics({"loss/D": float(turn)}, step=turn)
    first.finalize("failed")
    again = TensorBoardLogger(str(tmp_path))
    log_config([again], {"a": 1}, {})
    rewind_loggers([again], 20)
    again.log_metrics({"loss/D": -30.0}, step=30)
    again.finalize("success")
    assert [(e.step, e.value) for e in read_tensorboard(tmp_path).Scalars("loss/D")] == [
        (10, 10),
        (20, 20),
        (30, -30),
    ]


def test_mlflow_without_its_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^logger must not be mlflow without .*pip install mlflow"):
        MlflowLogger(str(tmp_path), "gantry", "sqlite://")


@pytest.mark.parametrize("content", [b"", b"a/../b", b"\xff\xfe", b"a b", b"x" * 5000, "größe".encode(), None])
def test_a_file_without_an_id_gives_none(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "run_id.txt"
    assert read_logger_id(path) is None
    path.write_text("k3x_-9\n")
    assert read_logger_id(path) == "k3x_-9"
    path.unlink()
    os.mkfifo(path) if content is None else path.write_bytes(content)
    assert read_logger_id(path) is None
