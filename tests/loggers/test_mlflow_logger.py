"""MLflow, read back from the database that a run leaves; where the extra is not installed, these tests are left out."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gantry.loggers.dispatch import close_loggers, log_config, log_generator, log_summary
from gantry.loggers.mlflow_logger import MlflowLogger

mlflow = pytest.importorskip("mlflow")
ABOUT = {"name": "first", "tags": ("a", "b"), "group": "G", "job_type": "train"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


def logger(folder: Path, place: str) -> MlflowLogger:
    return MlflowLogger(str(folder / "run"), "gantry", place, str(folder / "artifacts"), **ABOUT)


def history(place: str, run: str, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in mlflow.MlflowClient(place).get_metric_history(run, name)]


def config(turns: int) -> Mapping[str, object]:
    return {"turns": turns, "model": {"G": {"width": 32}}}


def test_files_of_a_run(tmp_path: Path, place: str) -> None:
    generator = tmp_path / "generator"
    generator.mkdir()
    (generator / "model.safetensors").write_bytes(b"weights")
    one = logger(tmp_path, place)
    log_config([one], config(4), {"model": "dcgan"})
    for turn in (2, 4):
        one.log_metrics({"loss/D": turn / 2}, step=turn)
    one.log_pixels("samples", np.full((4, 6, 1), 200, np.uint8), 4)
    log_generator([one], generator, {"turn": 4, "scores": {"fid": 12.5}})
    log_summary([one], {"report/best/fid": 12.5})
    close_loggers([one], success=True)
    run = mlflow.MlflowClient(place).get_run(one.run_id)
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert {"tags": "a,b", "group": "G", "job_type": "train"}.items() <= run.data.tags.items()
    assert run.data.params["model/G/width"] == "32"
    assert history(place, one.run_id, "loss/D") == [(2, 1.0), (4, 2.0)]
    assert run.data.metrics["report/best/fid"] == 12.5
    files = {path.name: path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert files["model.safetensors"].read_bytes() == b"weights"
    assert json.loads(files["about.json"].read_text())["scores"]["fid"] == 12.5
    assert any(name.startswith("samples") and name.endswith(".png") for name in files)


def test_a_resumed_run_keeps_its_id(tmp_path: Path, place: str) -> None:
    for turns in (4, 8):  # a parameter that changed stays what it was: MLflow would refuse another
        one = logger(tmp_path, place)
        log_config([one], config(turns), {})
        one.log_metrics({"loss/D": 1.0}, step=turns)
        close_loggers([one], success=turns == 8)
    assert len(mlflow.MlflowClient(place).search_runs(["1"])) == 1
    assert [step for step, _ in history(place, one.run_id, "loss/D")] == [4, 8]
    assert mlflow.MlflowClient(place).get_run(one.run_id).data.params["turns"] == "4"
