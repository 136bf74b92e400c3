"""The loop of a search, with jobs that take no time."""

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.study import Study

from fake_search import LR_SWEEP, FakeLauncher, search_in_process
from gantry.errors import RunError, UserError
from gantry.runs.layout import JOURNAL_FILE
from gantry.runs.status import write_job_pruning
from gantry.sweeps.search.study import open_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the search S."""
    monkeypatch.setenv("GANTRY_LOGS", str(tmp_path))
    return tmp_path / "train" / "sweeps" / "S"


def states(study: Study) -> str:
    return " ".join(trial.state.name for trial in study.trials)


def trials(count: int) -> str:
    return f"hydra.sweeper.n_trials={count}"


def output(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "study.json").read_text()))


def test_job_and_trial_have_one_number_and_failures_are_left_behind(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = FakeLauncher(folder, failing=[1, 3])
    search_in_process("hparams_search=tpe", LR_SWEEP, trials(5), launch=jobs.launch)
    study = open_study(folder)
    assert states(study) == "COMPLETE FAIL COMPLETE FAIL COMPLETE"
    assert jobs.launches == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]
    assert jobs.learning_rates == {trial.number: trial.params["optim.D.lr"] for trial in study.trials}
    assert study.trials[3].user_attrs["reason"] == "nothing but trouble"
    best = output(folder)["best"]
    assert best["number"] == study.best_trial.number
    assert best["overrides"] == [f"optim.D.lr={jobs.learning_rates[best['number']]}"]
    assert best["folder"] == str(folder / str(best["number"]))
    assert f"best trial {best['number']} of 5 (3 complete, 2 fail): best overlap (max) -" in capsys.readouterr().out


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_was_killed_equals_an_unbroken_one(sampler: str, folder: Path, tmp_path: Path) -> None:
    complete, broken = FakeLauncher(folder), FakeLauncher(folder.parent / "T", killed_before=3)
    words = [f"hparams_search={sampler}", LR_SWEEP, trials(12)]
    search_in_process(*words, launch=complete.launch)
    with pytest.raises(KeyboardInterrupt):
        search_in_process(*words, "run.name=T", launch=broken.launch)
    assert states(open_study(broken.sweep_folder)) == "COMPLETE COMPLETE COMPLETE RUNNING"
    search_in_process(*words, "run.name=T", launch=broken.launch)
    assert [first for first, _ in broken.launches] == [0, 1, 2, 3, 3, *range(4, 12)]
    assert broken.learning_rates == complete.learning_rates
    assert len(set(complete.learning_rates.values())) == 12


def test_one_command_makes_as_many_trials_as_it_says(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    for count in (2, 2, 3):
        search_in_process("hparams_search=random", LR_SWEEP, trials(count), launch=jobs.launch)
    assert jobs.launches == [(0, 1), (1, 1), (2, 1)]


def test_batches_and_what_is_missing_of_them(folder: Path) -> None:
    jobs = FakeLauncher(folder, killed_before=1)
    words = ["hparams_search=tpe", LR_SWEEP, trials(5), "hydra.sweeper.n_jobs=3"]
    with pytest.raises(KeyboardInterrupt):
        search_in_process(*words, launch=jobs.launch)
    search_in_process(*words, launch=jobs.launch)
    assert jobs.launches == [(0, 3), (1, 2), (3, 2)]
    assert states(open_study(folder)) == " ".join(["COMPLETE"] * 5)


def test_an_end_that_the_study_was_not_told_of_is_read_from_the_run(folder: Path) -> None:
    jobs = FakeLauncher(folder)

    def killed(overrides: Any, first: int) -> None:
        jobs.launch(overrides, first)
        write_job_pruning(folder / "1", "at turn 2 of 10")
        (folder / "1" / "summary.json").unlink()
        raise KeyboardInterrupt

    words = ["hparams_search=tpe", LR_SWEEP, trials(2), "hydra.sweeper.n_jobs=2"]
    with pytest.raises(KeyboardInterrupt):
        search_in_process(*words, launch=killed)
    search_in_process(*words, launch=jobs.launch)
    assert jobs.launches == [(0, 2)]
    assert states(open_study(folder)) == "COMPLETE PRUNED"
    assert output(folder)["trials"][1]["reason"] == "at turn 2 of 10"


def test_a_trial_without_all_of_its_values_is_given_the_others(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    words = ["hparams_search=random", LR_SWEEP, "model.z_dim=range(2,9)", trials(3)]
    search_in_process(*words, launch=jobs.launch)
    rates, lines = dict(jobs.learning_rates), (folder / JOURNAL_FILE).read_bytes().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if b'"param_name":"optim.D.lr"' in line)
    (folder / JOURNAL_FILE).write_bytes(
        b"".join(lines[: last + 1]) + lines[last + 1][:20]
    )  # killed in the middle of a line
    for file in (folder / "2").iterdir():
        file.unlink()
    search_in_process(*words, launch=jobs.launch)
    assert jobs.launches == [(0, 1), (1, 1), (2, 1), (2, 1)]
    assert jobs.learning_rates == rates


def test_a_process_that_dies_twice_is_a_failure_and_no_reason_to_stop(folder: Path) -> None:
    jobs = FakeLauncher(folder)

    def launch(overrides: Any, first: int) -> None:
        jobs.launch(overrides, first)
        if first == 1:
            (folder / "1" / "summary.json").unlink()
            (folder / "1" / "job.json").write_text('{"ended": true}')
            raise RuntimeError("a worker has died")

    search_in_process("hparams_search=random", LR_SWEEP, trials(3), launch=launch)
    assert jobs.launches == [(0, 1), (1, 1), (1, 1), (2, 1)]
    assert states(open_study(folder)) == "COMPLETE FAIL COMPLETE"


def test_an_interrupted_job_ends_the_search(folder: Path) -> None:
    def launch(overrides: Any, first: int) -> None:
        FakeLauncher(folder).launch(overrides, first)
        (folder / "0" / "summary.json").unlink()
        (folder / "0" / "job.json").write_text('{"ended": true}')

    with pytest.raises(RunError, match=r"trial 0 was interrupted\. Resume with the same command and run\.name=S"):
        search_in_process("hparams_search=random", LR_SWEEP, trials(3), launch=launch)


def test_nothing_but_failures(folder: Path) -> None:
    with pytest.raises(RunError, match=r"no trial was completed \(2 fail\); the last one: nothing but trouble"):
        search_in_process(
            "hparams_search=random", LR_SWEEP, trials(2), launch=FakeLauncher(folder, failing=[0, 1]).launch
        )
    assert output(folder)["best"] is None


def test_no_trial_begins_when_the_time_is_over(folder: Path) -> None:
    with pytest.raises(RunError, match=r"no trial has started within hydra\.sweeper\.timeout"):
        search_in_process(
            "hparams_search=random", LR_SWEEP, "hydra.sweeper.timeout=0", launch=FakeLauncher(folder).launch
        )


def test_a_grid_ends(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    words = ["hparams_search=grid", "optim.D.lr=1e-4,1e-3", "model.z_dim=range(2,5)"]
    search_in_process(*words, trials(4), launch=jobs.launch)
    search_in_process(*words, launch=jobs.launch)
    search_in_process(*words, launch=jobs.launch)
    assert jobs.launches == [(i, 1) for i in range(6)]
    assert list(jobs.learning_rates.values()) == [1e-4] * 3 + [1e-3] * 3
    assert [trial.params["model.z_dim"] for trial in open_study(folder).trials] == [2, 3, 4] * 2


def test_keys_of_a_file_and_of_the_command_line(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    params = "+hydra.sweeper.params={optim.D.lr:'interval(1e-4,1e-3)',model.z_dim:'2,4'}"
    search_in_process("hparams_search=random", params, "model.z_dim=3", trials(2), launch=jobs.launch)
    assert all(1e-4 <= rate <= 1e-3 for rate in jobs.learning_rates.values())
    assert set(open_study(folder).trials[0].params) == {"optim.D.lr"}


def test_another_search_in_the_same_folder(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    search_in_process("hparams_search=random", LR_SWEEP, trials(1), launch=jobs.launch)
    others = {
        "search space": ["optim.D.lr=interval(1e-5,1e-1)"],
        "experiment": [LR_SWEEP, "seed=7"],
        "score": [LR_SWEEP, "metrics.monitor=modes"],
        "direction": [LR_SWEEP, "metrics.mode=min"],
    }
    for name, words in others.items():
        with pytest.raises(UserError, match=f"run.name must be new for another {name}, got {folder}, where"):
            search_in_process("hparams_search=random", *words, trials(2), launch=jobs.launch)
    assert jobs.launches == [(0, 1)]


def test_a_sweep_of_another_kind_in_the_same_folder(folder: Path) -> None:
    (folder / "0").mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"run\.name must be new for a search, got .*, which holds a sweep of another kind"
    ):
        search_in_process("hparams_search=random", LR_SWEEP, launch=FakeLauncher(folder).launch)


TPE_SEARCH = f"hparams_search=tpe {LR_SWEEP}"
MISTAKES = {
    "hparams_search=tpe": "hparams_search must have keys to search",
    f"{TPE_SEARCH} hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials must be an integer of at least 1",
    f"{TPE_SEARCH} hydra.sweeper.n_trials=null": "hydra.sweeper.n_trials must be an integer of at least",
    f"{TPE_SEARCH} hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs must be an integer of at least 1",
    f"{TPE_SEARCH} hydra.sweeper.timeout=x": "hydra.sweeper.timeout must be a number of at least 0",
    f"{TPE_SEARCH} hydra.sweeper.sampler.seed=-1": "hydra.sweeper.sampler.seed must be an integer",
    f"{TPE_SEARCH} hydra.sweeper.sampler._target_=optuna.samplers.X": "sampler._target_ must be",
    f"hparams_search=tpe {LR_SWEEP} +hydra.sweeper.sampler.sed=1": "did you mean seed?",
    f"hparams_search=tpe {LR_SWEEP} metrics=none": "metrics.monitor must be the score",
    f"hparams_search=tpe {LR_SWEEP} callbacks.evaluate=null": "callbacks.evaluate must be there",
    f"hparams_search=tpe {LR_SWEEP} turns=0": "turns must be an integer of at least 1, got 0",
    "hparams_search=tpe turns=interval(10,20)": "got 15.0 (int(interval(a,b)) and range(a,b) are whole numbers)",
    "hparams_search=tpe optim.D.lt=1,2": "optim.D.lt must be one of the known keys",
    "hparams_search=tpe turns=0,-1": "turns must be an integer of at least 1, got 0",
    f"hparams_search=tpe {LR_SWEEP} hydra.sweep.subdir=x": "hydra.sweep.subdir must be the number of the job",
    f"{TPE_SEARCH} resume=RUN": "resume must be null for a search (the same run.name resumes it), got RUN",
    f"hparams_search=grid {LR_SWEEP}": "optim.D.lr must be a choice or a range in a grid",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_line_before_anything_is_written(words: str, folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        search_in_process(*words.split(), launch=FakeLauncher(folder).launch)
    assert MISTAKES[words] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_a_value_that_is_wrong_is_no_mistake_of_the_search(folder: Path) -> None:
    jobs = FakeLauncher(folder)
    search_in_process("hparams_search=grid", "turns=0,10", "optim.D.lr=1e-3,1e-4", launch=jobs.launch)
    assert len(jobs.launches) == 4


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf

    from hydra_plugins import gantry_search

    monkeypatch.setattr(gantry_search, "find_spec", lambda name: None)
    sweeper = gantry_search.Search()
    sweeper.config = OmegaConf.create({"hydra": {"runtime": {"choices": {"hparams_search": "tpe"}}}})
    with pytest.raises(UserError) as caught:
        sweeper.sweep([])
    assert str(caught.value) == 'hparams_search must be installed (pip install "gantry[search]"), got tpe'
