"""The groups debug and local."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from compose_config import compose_config, list_choices
from gantry.config.instantiate import build
from gantry.runs.metrics_csv import read_columns
from gantry.runs.summary import read_summary
from subprocess_runs import SMALL_RUN, TRAIN_PY, make_environment

SMALL = ["metrics=small", "metrics.num_samples=50", "callbacks.evaluate.every=2", "turns=2", "run.name=first"]
SMALL += [word for word in SMALL_RUN if not word.startswith(("logger=", "turns=", "metrics="))]


@pytest.mark.parametrize("choice", list_choices("debug"))
def test_every_choice_runs(choice: str, tmp_path: Path) -> None:
    command = [sys.executable, TRAIN_PY, f"debug={choice}", *SMALL]
    quiet = ["logger=csv", "metrics.report=null"] if choice == "anomaly" else []
    subprocess.run([*command, *quiet], cwd=tmp_path, env=make_environment(tmp_path), check=True)
    run = tmp_path / "train" / "first"
    assert np.isfinite(read_columns(run)["score/fd_digits"]).tolist() == [True, False, True]
    assert "report" not in read_summary(run)
    if choice == "profile":
        assert "training_step" in (run / "fit-profile.txt").read_text()


def test_the_choices_set_their_keys() -> None:
    for choice in list_choices("debug"):
        assert compose_config(f"debug={choice}").callbacks.health.patience == 1
    default = compose_config("debug=default")
    assert (default.turns, list(default.logger), default.metrics.report) == (20, ["csv"], None)
    assert compose_config("debug=fast").turns == 2
    anomaly = compose_config("debug=anomaly")
    assert (anomaly.trainer.detect_anomaly, anomaly.hardware.capture) == (True, False)
    assert compose_config("debug=profile").hardware.capture is False


@pytest.mark.parametrize("choice", ["anomaly", "profile"])
def test_nothing_is_captured_on_a_gpu(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 1)
    assert compose_config("trainer=gpu").hardware.capture is True
    assert compose_config("trainer=gpu", f"debug={choice}").hardware.capture is False


def test_the_command_line_wins_over_debug() -> None:
    cfg = compose_config("debug=fast", "turns=5", "logger=[csv,tensorboard]")
    assert (cfg.turns, list(cfg.logger)) == (5, ["csv", "tensorboard"])


@pytest.mark.parametrize("words", [["debug=overfit"], ["data.limit=64"]])
def test_a_limit_keeps_the_first_training_images(words: list[str]) -> None:
    limited, full = (build(compose_config(*some).data, batches_per_turn=1, seed=0) for some in (words, []))
    assert len(limited.data.train) == 64
    assert torch.equal(limited.data.train.load_range(0, 64).x, full.data.train.load_range(0, 64).x)
    assert len(limited.data.test) == len(full.data.test)


def test_a_limit_above_the_number_of_images_keeps_all() -> None:
    data = build(compose_config("data.limit=100000").data, batches_per_turn=1, seed=0).data
    assert len(data.train) == len(build(compose_config().data, batches_per_turn=1, seed=0).data.train)


@pytest.mark.parametrize("limit", ["0", "-1", "a", "1.5"])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=r"data\.limit must be"):
        compose_config(f"data.limit={limit}")


def test_every_data_set_can_be_limited() -> None:
    for name in list_choices("data"):
        model = "mlp" if name in ("ring", "grid") else "dcgan_small"
        root = ["data.source.root=."] if name == "folder" else []
        assert compose_config(f"data={name}", f"model={model}", "data.limit=8", *root).data.limit == 8


def test_local_defaults_are_below_an_experiment_and_debug(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    local = {"turns": 7, "tags": ["mine"], "defaults": [{"override /logger": "none"}, "_self_"]}
    (tmp_path / "local" / "default.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(local)}")
    folder = f"hydra.searchpath=[file://{tmp_path}]"
    cfg = compose_config(folder)
    assert (cfg.turns, list(cfg.tags), list(cfg.logger)) == (7, ["mine"], [])
    assert compose_config(folder, "turns=9").turns == 9
    assert compose_config(folder, "debug=fast").turns == 2
    assert compose_config(folder, "experiment=mnist_mlp").turns == compose_config("experiment=mnist_mlp").turns
    assert list(compose_config(folder, "logger=csv").logger) == ["csv"]
