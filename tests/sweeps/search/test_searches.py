"""Whole searches: killed and continued, on two processes, with several trials at a time, with hopeless trials."""

import csv
import json
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.study import Study
from optuna.trial import TrialState

from gantry.sweeps.search.study import open_study
from recording_callbacks import read_rank_records
from subprocess_runs import RANK_RECORDER, TRAIN_PY, find_leftover_processes, run_training, start_command, wait_for_exit

pytestmark = pytest.mark.slow
ON_RING = ["data=ring", "metrics=modes", "metrics.num_samples=200", "metrics.report.num_samples=200", "model.z_dim=2"]
SEARCH = ["run.name=S", "hparams_search=tpe", "optim.D.lr=tag(log,interval(1e-4,1e-1))", *ON_RING]
WRITTEN = "+callbacks.rates._target_=search_callbacks.LearningRateWriter"
BY_RATE = "++callbacks.evaluate._target_=search_callbacks.EvaluateByLearningRate"
EARLY = ["callbacks.evaluate.every=1", "metrics.report=null", BY_RATE, "hydra.sweeper.sampler.seed=3"]
TRIALS = "hydra.sweeper.n_trials"


def study_of(folder: Path) -> Study:
    return open_study(folder / "train" / "sweeps" / "S")


def rates(study: Study) -> list[float]:
    return [trial.params["optim.D.lr"] for trial in study.trials]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "train" / "sweeps" / "S" / "table.csv").open() as file:
        return list(csv.DictReader(file))


def config(folder: Path, number: int) -> Any:
    return OmegaConf.load(folder / "train" / "sweeps" / "S" / str(number) / "config.yaml")


def check(folder: Path, count: int, failed: Sequence[int] = ()) -> Study:
    """As many trials as asked for, none repeated, and in the folder of each what the study has of it."""
    study, result = study_of(folder), rows(folder)
    assert [trial.number for trial in study.trials] == list(range(count))
    assert len(set(rates(study))) == count
    assert [row["job"] for row in result] == [str(i) for i in range(count)]
    assert [float(row["optim.D.lr"]) for row in result] == rates(study)
    assert [i for i, row in enumerate(result) if row["status"] == "failed"] == list(failed)
    assert [trial.number for trial in study.trials if trial.state == TrialState.FAIL] == list(failed)
    done = {int(row["job"]): float(row["selected/overlap"]) for row in result if row["status"] == "finished"}
    assert {trial.number: trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])} == done
    assert study.best_value == max(done.values())
    output = json.loads((folder / "train" / "sweeps" / "S" / "study.json").read_text())
    assert (output["best"]["number"], output["best"]["value"]) == (study.best_trial.number, study.best_value)
    return study


def test_eight_trials_of_which_one_fails_killed_in_the_middle_and_continued(tmp_path: Path) -> None:
    trouble = "+callbacks.trouble={_target_:search_callbacks.FailOrKill,folder:${run.dir},fails:2,killed:4}"
    words = [f"{TRIALS}=8", "hparams_search/pruner=none", "callbacks.checkpoints.every=1"]
    command = [sys.executable, TRAIN_PY, *SEARCH, *words, trouble, RANK_RECORDER]
    wait_for_exit(start_command(command, tmp_path), status=-signal.SIGKILL)
    before = study_of(tmp_path).trials
    assert [trial.state.name for trial in before] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "RUNNING"]
    output = wait_for_exit(start_command(command, tmp_path))
    study = check(tmp_path, 8, failed=[2])
    assert rates(study)[:5] == [trial.params["optim.D.lr"] for trial in before]
    assert study.trials[2].user_attrs["reason"] == "RuntimeError: nothing but trouble"
    assert [[one["turn"] for one in read_rank_records(tmp_path / "train/sweeps/S" / str(i))] for i in (3, 4, 5)] == [
        [0],
        [0, 4],
        [0],
    ]
    assert f"best trial {study.best_trial.number} of 8 (7 complete, 1 fail): best overlap (max) " in output
    assert "8 jobs: 7 finished, 1 failed" in output
    again = wait_for_exit(start_command(command, tmp_path))
    assert "Launching" not in again
    assert rates(check(tmp_path, 8, failed=[2])) == rates(study)
    other = wait_for_exit(start_command([*command, "seed=3"], tmp_path), status=2)
    assert "error: run.name must be new for another experiment, got " in other


def test_two_processes_train_each_trial_together(tmp_path: Path) -> None:
    run_training(*SEARCH, f"{TRIALS}=2", "trainer=ddp_cpu", RANK_RECORDER, WRITTEN, folder=tmp_path)
    study = check(tmp_path, 2)
    for number in (0, 1):
        run = tmp_path / "train" / "sweeps" / "S" / str(number)
        assert [(one["rank"], one["size"]) for one in read_rank_records(run)] == [(0, 2), (1, 2)]
        assert [float((run / f"rate{rank}").read_text()) for rank in (0, 1)] == [rates(study)[number]] * 2
        assert config(tmp_path, number).optim.D.lr == rates(study)[number]
    assert find_leftover_processes(tmp_path) == []


@pytest.mark.skipif(not find_spec("hydra_plugins.hydra_joblib_launcher"), reason="the extra joblib is not installed")
def test_hopeless_trials_end_early_wherever_they_run(tmp_path: Path) -> None:
    pruner = "callbacks.pruning.pruner.n_startup_trials=2"
    several = ["launcher=joblib", "hydra.launcher.n_jobs=2"]
    output = run_training(*SEARCH, *EARLY, *several, pruner, f"{TRIALS}=4", folder=tmp_path)
    study, result = study_of(tmp_path), rows(tmp_path)
    hopeless = [i for i in (2, 3) if rates(study)[i] < min(rates(study)[:2])]
    assert hopeless == [2]
    assert study.trials[2].state == TrialState.PRUNED
    assert (result[2]["status"], result[2]["reason"]) == ("pruned", "at turn 1 of 6")
    assert "1 pruned" in output


def test_two_processes_give_up_together(tmp_path: Path) -> None:
    pruner = "callbacks.pruning.pruner.n_startup_trials=1"
    run_training(*SEARCH, *EARLY, "trainer=ddp_cpu", pruner, f"{TRIALS}=2", folder=tmp_path)
    assert [trial.state.name for trial in study_of(tmp_path).trials] == ["COMPLETE", "PRUNED"]
    assert find_leftover_processes(tmp_path) == []


def test_a_search_that_has_nothing_but_failures_fails(tmp_path: Path) -> None:
    trouble = "+callbacks.trouble={_target_:search_callbacks.FailOrKill,folder:${run.dir},fails:0,killed:9}"
    output = run_training(*SEARCH, f"{TRIALS}=1", trouble, folder=tmp_path, status=1)
    assert "error: no trial was completed (1 fail); the last one: RuntimeError: nothing but trouble\n" in output
