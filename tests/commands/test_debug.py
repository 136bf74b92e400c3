"""The group debug."""

from pathlib import Path

import pytest
import torch

from compose_config import compose_config, list_choices
from gantry.config.instantiate import build
from subprocess_runs import SMALL_RUN, run_training

TINY = [word for word in SMALL_RUN if not word.startswith(("logger=", "turns="))]


@pytest.mark.parametrize("choice", ["fast", "profile", "anomaly"])
def test_debug_runs(choice: str, tmp_path: Path) -> None:
    run_training(f"debug={choice}", *TINY, "turns=2", "logger=csv", f"run.name={choice}", folder=tmp_path)
    run = tmp_path / "train" / choice
    assert (run / "metrics.csv").is_file()
    if choice == "profile":
        assert "training_step" in (run / "fit-profile.txt").read_text()


def test_every_choice_composes() -> None:
    for choice in list_choices("debug"):
        cfg = compose_config(f"debug={choice}", "model=mlp")
        assert cfg.callbacks.health.patience == 1
    assert compose_config("debug=fast").turns == 2
    assert compose_config("debug=anomaly").trainer.detect_anomaly is True


def test_overfitting_trains_on_the_first_images_alone() -> None:
    limited, whole = (
        build(compose_config(*words).data, batches_per_turn=1, seed=0) for words in (["debug=overfit"], [])
    )
    assert len(limited.data.train) == 64
    assert torch.equal(limited.data.train.load_range(0, 64).x, whole.data.train.load_range(0, 64).x)
    assert len(limited.data.test) == len(whole.data.test)


@pytest.mark.parametrize("limit", ["0", "-1", "a"])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=r"data\.limit must be"):
        build(compose_config(f"+data.limit={limit}").data, batches_per_turn=1, seed=0)
