import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from fake_points_run import FakePointsRun, make_points_evaluation
from gantry.callbacks.evaluate import Evaluator, format_scores
from gantry.errors import UserError
from gantry.evaluation.evaluation import Evaluation


def started(folder: Path, callback: Evaluator | None = None, **wanted: Any) -> FakePointsRun:
    return FakePointsRun(callback or Evaluator(make_points_evaluation(), every=2, path=str(folder), **wanted))


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text()))


def test_it_scores_at_the_start_every_few_turns_and_at_the_end(tmp_path: Path) -> None:
    run = started(tmp_path)
    for spread in (1.0, 1.0, 2.0, 2.0, 1.0):
        run.run_turn(spread)
    assert [step for step, _ in run.logger.rows] == [0, 2, 4, 5]
    assert [row["score/high_quality"] for _, row in run.logger.rows] == [1.0, 1.0, 0.0, 1.0]
    assert run.logger.rows[1][1]["turn"] == 2
    assert run.logger.rows[1][1]["kimg"] == pytest.approx(0.128)
    assert run.gan.run_state.scored_at == 5
    assert run.gan.run_state.scores == {"overlap": 1.0, "modes": 2.0, "high_quality": 1.0, "kl": pytest.approx(0)}


def test_the_generator_is_left_as_it_was(tmp_path: Path) -> None:
    run = started(tmp_path)
    state = torch.get_rng_state()
    run.run_turn()
    run.run_turn()
    assert run.gan.G_ema.training
    assert run.gan.G_ema.norm.num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_best_and_last_are_kept_with_their_protocol(tmp_path: Path) -> None:
    run = started(tmp_path)
    for spread in (1.0, 1.5, 1.5, 1.0, 1.5):  # scored at turns 2, 4 and 5: bad, good, bad
        run.run_turn(spread)
    stored = summary(tmp_path)
    assert {place: stored[place]["turn"] for place in stored} == {"start": 0, "last": 5, "best": 4}
    assert stored["best"]["scores"]["high_quality"] == 1.0
    assert stored["last"]["scores"]["high_quality"] == 0.0
    assert stored["last"]["protocol"]["checkpoint"] == "last"
    rule = "best high_quality (max) on 8 samples of seed 0, every 2 turns"
    assert stored["best"]["protocol"]["checkpoint"] == rule
    assert stored["best"]["protocol"]["generator"] == "G_ema"
    assert stored["best"]["protocol"]["real_count"] == 20
    assert run.logger.summary["best/high_quality"] == 1.0
    assert run.logger.summary["last/high_quality"] == 0.0
    assert run.logger.config["protocol/num_samples"] == 8


def test_an_equal_score_is_no_better(tmp_path: Path) -> None:
    run = started(tmp_path)
    for _ in range(5):
        run.run_turn()
    assert summary(tmp_path)["best"]["turn"] == 2


@pytest.mark.parametrize(("mode", "best"), [("min", 0.2), ("max", 0.9)])
def test_less_or_more_is_better_and_nan_never_is(mode: str, best: float, tmp_path: Path) -> None:
    callback = Evaluator(make_points_evaluation(mode=mode), 1, str(tmp_path))
    best_scores = []
    for score in (math.nan, 0.5, 0.2, math.nan, 0.9, 0.3):
        if callback.is_improvement({"high_quality": score}):
            callback.best_entry = {"scores": {"high_quality": score}}
            best_scores.append(score)
    assert best_scores[0] == 0.5
    assert best_scores[-1] == best


def test_a_resumed_run_remembers_the_best_and_says_what_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = started(tmp_path)
    before.run_turn()
    before.run_turn()
    callback = Evaluator(make_points_evaluation(seed=3), every=2, path=str(tmp_path))
    callback.load_state_dict(before.callback.state_dict())
    with caplog.at_level(logging.WARNING):
        after = started(tmp_path, callback)
    assert "discarding the best score: it was measured with another protocol: " in caplog.text
    assert "; seed: 0 and 3" in caplog.text or ": seed: 0 and 3" in caplog.text
    assert "num_samples" not in caplog.text
    after.run_turn(1.5)
    after.run_turn(1.5)
    assert summary(tmp_path)["best"]["scores"]["high_quality"] == 0.0
    assert after.gan.run_state.improved_at == 2


def test_a_run_that_stops_early_is_scored_unless_it_will_go_on(tmp_path: Path) -> None:
    run = started(tmp_path, at_start=False)
    run.run_turn()
    run.gan.run_state.interrupt_signal = True
    run.callback.on_training_end(run.trainer, run.gan)
    assert run.logger.rows == []
    run.gan.run_state.interrupt_signal = False
    run.callback.on_training_end(run.trainer, run.gan)
    run.callback.on_training_end(run.trainer, run.gan)
    assert [step for step, _ in run.logger.rows] == [1]


def test_without_scores_nothing_happens(tmp_path: Path) -> None:
    run = started(tmp_path, Evaluator(Evaluation({}, 2, None, "min"), every=1, path=str(tmp_path)))
    run.run_turn()
    run.callback.on_training_end(run.trainer, run.gan)
    assert run.gan.run_state.scores == {}
    assert not (tmp_path / "summary.json").exists()


def test_mistakes_and_diverged_generators_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.monitor must be one of overlap, .*, got fid"):
        started(tmp_path, Evaluator(make_points_evaluation(monitor="fid"), every=1, path=str(tmp_path)))
    run = started(tmp_path)
    run.run_turn()
    with pytest.raises(UserError, match=r"samples must be finite .* got 8 of 8"):
        run.run_turn(math.nan)


def test_a_line_of_the_console_has_the_numbers_that_people_compare() -> None:
    scores = {"fd_digits": 0.8211, "cs_digits": 9.5, "cs_digits_std": 0.1, "fd_digits_infinity": 0.5}
    details = {"fd_digits_infinity_low": 0.4, "fd_digits_infinity_high": 0.6, "fd_digits_class_mean": 2.0}
    classes = {"fd_digits_class_worst": 4.0} | {f"fd_digits_class_{k}": float(k) for k in range(10)}
    assert format_scores(scores | details | classes) == (
        "fd_digits 0.8211, cs_digits 9.5, fd_digits_infinity 0.5, fd_digits_class_mean 2, fd_digits_class_worst 4"
    )
    assert format_scores({"own_std": 1.0}) == "own_std 1"  # a score of a user that is nothing else
