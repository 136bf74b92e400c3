"""The final scores of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fake_points_run import MODE_POINTS, ConstantGenerator, FakePointsRun, make_points_evaluation
from gantry.callbacks import report as module
from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.report import FinalReport as ReportCallback
from gantry.errors import UserError
from gantry.evaluation.evaluation import Evaluation, ReportSettings
from gantry.runs.generator_json import GeneratorInfo

FULL = make_points_evaluation(report=ReportSettings(num_samples=12, seed=4))
RULE = "best high_quality (max) on 8 samples of seed 0, every 2 turns"


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text()))


def ended(folder: Path, evaluation: Evaluation, interrupted: int = 0) -> FakePointsRun:
    """A run whose last generator is bad, and whose best one is good."""
    run = FakePointsRun(Evaluator(evaluation, every=2, path=str(folder)))
    for spread in (1.0, 1.0, 1.5, 1.5, 1.5):
        run.run_turn(spread)
    best = GeneratorInfo({}, [2], 3, 2, "", {"turn": 2, "kimg": 0.128})
    (folder / "generator" / "best").mkdir(parents=True)
    best.write(folder / "generator" / "best")
    run.gan.run_state.interrupt_signal = interrupted
    ReportCallback(str(folder)).on_training_end(run.trainer, run.gan)
    return run


@pytest.fixture(autouse=True)
def _the_best_generator_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = ConstantGenerator().state_dict()
    monkeypatch.setattr(module, "load_generator_weights", lambda G, _: G.load_state_dict(weights))


def test_best_and_last_are_scored_by_the_full_protocol(tmp_path: Path) -> None:
    run = ended(tmp_path, FULL)
    report = summary(tmp_path)["report"]
    assert report["seconds"] > 0
    best, last = report["best"], report["last"]
    assert (best["turn"], last["turn"]) == (2, 5)
    assert (best["scores"]["high_quality"], last["scores"]["high_quality"]) == (1.0, 0.0)
    for entry in (best, last):
        assert (entry["protocol"]["num_samples"], entry["protocol"]["seed"]) == (12, 4)
    assert (best["protocol"]["checkpoint"], last["protocol"]["checkpoint"]) == (RULE, "last")
    assert run.logger.summary["report/best/high_quality"] == 1.0
    assert run.logger.summary["report/last/high_quality"] == 0.0
    assert run.logger.config["report/protocol/num_samples"] == 12
    assert summary(tmp_path)["last"]["protocol"]["num_samples"] == 8  # what selected stands as it was
    torch.testing.assert_close(run.gan.G_ema.points.data, 1.5 * torch.tensor(MODE_POINTS))


def test_a_best_that_is_the_last_is_scored_once(tmp_path: Path) -> None:
    run = ended(tmp_path, FULL, interrupted=15)
    run.gan.run_state.interrupt_signal, run.gan.turn, run.gan.turns = 0, 2, 2
    ReportCallback(str(tmp_path)).on_training_end(run.trainer, run.gan)
    report = summary(tmp_path)["report"]
    assert report["best"]["scores"] == report["last"]["scores"]
    assert report["best"]["scores"]["high_quality"] == 0.0  # of the generator at hand, not of the file
    assert (report["best"]["protocol"]["checkpoint"], report["last"]["protocol"]["checkpoint"]) == (RULE, "last")


@pytest.mark.parametrize(("evaluation", "interrupted"), [(make_points_evaluation(), 0), (FULL, 15)])
def test_without_a_report_and_when_interrupted_it_is_left_out(
    tmp_path: Path, evaluation: Evaluation, interrupted: int
) -> None:
    ended(tmp_path, evaluation, interrupted)
    assert "report" not in summary(tmp_path)


def test_the_report_is_checked_before_the_run_begins(tmp_path: Path) -> None:
    evaluation = make_points_evaluation(report=ReportSettings(num_samples=0, seed=4))
    with pytest.raises(UserError, match=r"metrics\.report\.num_samples must be at least 1 for the score modes"):
        FakePointsRun(Evaluator(evaluation, every=2, path=str(tmp_path)))
    with pytest.raises(ValueError, match=r"metrics\.report\.seed must differ from metrics\.seed.*, got 0"):
        make_points_evaluation(report=ReportSettings(num_samples=12, seed=0))


def test_an_interrupted_run_makes_its_report_when_it_is_resumed_and_only_once(tmp_path: Path) -> None:
    run = ended(tmp_path, FULL, interrupted=15)
    run.gan.run_state.interrupt_signal = 0
    ReportCallback(str(tmp_path)).on_training_end(run.trainer, run.gan)
    first = summary(tmp_path)["report"]
    assert first["last"]["turn"] == 5
    ReportCallback(str(tmp_path)).on_training_end(run.trainer, run.gan)
    assert summary(tmp_path)["report"] == first
    run.gan.turn, run.gan.turns = 6, 7  # stopped before its last turn
    ReportCallback(str(tmp_path)).on_training_end(run.trainer, run.gan)
    assert summary(tmp_path)["report"] == first
