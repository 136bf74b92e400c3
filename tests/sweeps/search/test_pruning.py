"""A run of a search tells the study its scores, and ends when the pruner says so."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import MedianPruner, NopPruner

from gantry.runs.status import RunStatus, has_job, read_run_status
from gantry.runs.summary import write_summary
from gantry.sweeps.search.pruning import TrialPruner
from gantry.sweeps.search.study import create_or_load_study, open_study
from stubs import TinyGan, make_trainer_stub

ABOUT = {"metric": "fd", "mode": "min", "space": {}, "experiment": []}
RATE = {"lr": FloatDistribution(0, 1)}


def begin(sweep: Path) -> optuna.Study:
    """A search with a complete trial, whose scores were 3, 2 and 1, and one that runs."""
    study = create_or_load_study(sweep, ABOUT)
    first = study.ask(RATE)
    for turn, score in ((5, 3.0), (10, 2.0), (15, 1.0)):
        first.report(score, turn)
    study.tell(first, 1.0)
    study.ask(RATE)
    return study


def play(callback: TrialPruner, scores: dict[int, float], rank: int = 0, gan: TinyGan | None = None) -> TinyGan:
    """Turns until the run is told to stop, or to the end."""
    on: Any = make_trainer_stub(rank=rank, should_stop=False)
    gan = gan or TinyGan()
    callback.on_training_start(on, gan)  # type: ignore[arg-type]
    while gan.turn < gan.turns and not on.should_stop:
        gan.turn += 1
        if gan.turn in scores:
            gan.run_state.scores, gan.run_state.scored_at = {"fd": scores[gan.turn]}, gan.turn
        callback.on_turn_end(on, gan, {})  # type: ignore[arg-type]
    callback.on_run_end(on, gan)  # type: ignore[arg-type]
    return gan


def pruning(sweep: Path, pruner: Any = None) -> TrialPruner:
    return TrialPruner(str(sweep / "1"), "fd", pruner or MedianPruner(n_startup_trials=1))


def test_a_run_that_is_worse_than_the_others_ends(tmp_path: Path) -> None:
    study = begin(tmp_path)
    gan = play(pruning(tmp_path), {5: 2.5, 10: 2.4, 15: 0.5})
    assert gan.turn == 10
    assert study.trials[1].intermediate_values == {5: 2.5, 10: 2.4}
    write_summary(tmp_path / "1", {"turns": 10})
    status = read_run_status(tmp_path / "1", 20)
    assert (status.state, str(status)) == (RunStatus.PRUNED, "pruned: at turn 10 of 20")


def test_a_better_one_goes_on_and_the_last_score_is_no_reason_to_stop(tmp_path: Path) -> None:
    study = begin(tmp_path)
    gan = play(pruning(tmp_path), {5: 2.9, 10: 1.9, 15: 0.9, 20: 9.0})
    assert gan.turn == 20
    assert study.trials[1].intermediate_values == {5: 2.9, 10: 1.9, 15: 0.9}
    assert not has_job(tmp_path / "1")


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_a_score_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    begin(tmp_path)
    assert play(pruning(tmp_path), {5: float("nan")}).turn == 5


def test_a_run_that_goes_on_repeats_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    study = begin(tmp_path)
    play(pruning(tmp_path, NopPruner()), {5: 9.0})
    assert play(pruning(tmp_path, NopPruner()), {5: 9.0, 10: 8.0}).turn == 20
    assert study.trials[1].intermediate_values == {5: 9.0, 10: 8.0}
    assert not recwarn.list


def test_another_process_only_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = begin(tmp_path)
    heard = {5: 0, 10: 1}
    gan = TinyGan()
    all_reduce = "gantry.sweeps.search.pruning.collectives.all_reduce_sum_"
    monkeypatch.setattr(all_reduce, lambda tensor: tensor + heard[gan.turn])
    assert play(pruning(tmp_path), {5: 9.0, 10: 9.0}, rank=1, gan=gan).turn == 10
    assert open_study(tmp_path).trials[1].intermediate_values == study.trials[1].intermediate_values == {}
    assert not has_job(tmp_path / "1")


def test_a_search_needs_a_score() -> None:
    with pytest.raises(ValueError, match=r"metrics\.monitor must be the score"):
        TrialPruner("1", None, NopPruner())
