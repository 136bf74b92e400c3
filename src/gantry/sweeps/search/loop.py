"""The loop of a search: ask Optuna for trials, run them as jobs, and tell Optuna their outcomes."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import Trial, TrialState

from gantry.errors import RunError, format_error
from gantry.runs.lock import check_unlocked
from gantry.runs.status import has_job
from gantry.sweeps.search.settings import SearchSettings
from gantry.sweeps.search.space import SearchSpace, suggest_value
from gantry.sweeps.search.study import FACTS_ATTR, load_trial
from gantry.sweeps.search.trials import (
    REASON_ATTR,
    TrialOutcome,
    format_best_trial,
    format_no_complete_trial,
    read_outcome,
    write_study_json,
)

log = logging.getLogger(__name__)
LaunchJobs = Callable[[Sequence[Sequence[str]], int], Any]  # overrides of some jobs, and the number of the first
AUTO_RESUME = "run.auto_resume=true"  # an interrupted trial resumes from its checkpoint
MAX_DEATHS = 2  # a trial whose processes died this often without an error message has failed


@dataclass
class SearchLoop:
    """A search in the folder of a sweep; trial i is job i, in the folder i."""

    study: Study
    space: SearchSpace
    settings: SearchSettings
    folder: Path
    launch: LaunchJobs
    deaths: Counter[int] = field(default_factory=Counter)

    def run(self) -> None:
        """Run the missing trials. Raises RunError if no trial was completed."""
        start = time.monotonic()
        while trials := self.collect_unfinished() or self.ask_trials(start):
            for batch in split_consecutive(trials):
                self.run_batch(batch)
                write_study_json(self.study, self.space, self.folder)
        write_study_json(self.study, self.space, self.folder)  # an earlier process may have been killed before writing
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise RunError(format_no_complete_trial(self.study))
        print(format_best_trial(self.study, self.space, self.folder))

    def ask_trials(self, start: float) -> list[Trial]:
        """Return a batch of new trials, no more than are missing; none after the timeout."""
        missing = self.settings.n_trials - len(self.study.trials)
        if time.monotonic() - start >= self.settings.timeout:
            return []
        return [self.suggest_missing(self.study.ask()) for _ in range(min(self.settings.n_jobs, missing))]

    def collect_unfinished(self) -> list[Trial]:
        """Return the trials that must be resumed; tell the study of those that ended without it knowing."""
        numbers = [trial.number for trial in self.study.get_trials(states=(TrialState.RUNNING,))]
        for number in numbers:
            wait_for_trial(self.trial_folder(number), number)
        unfinished = [number for number in numbers if not self.tell_outcome(number)]
        return [self.suggest_missing(load_trial(self.study, number)) for number in unfinished]

    def suggest_missing(self, trial: Trial) -> Trial:
        """Return a trial with values for all keys; existing values are kept."""
        self.study.sampler = self.settings.make_sampler(trial.number)
        trial = load_trial(self.study, trial.number)
        for key, distribution in self.space.distributions.items():
            suggest_value(trial, key, distribution)
        return trial

    def run_batch(self, batch: Sequence[Trial]) -> None:
        """Run trials with consecutive numbers."""
        overrides = [[*self.space.to_overrides(trial.params), AUTO_RESUME] for trial in batch]
        try:
            self.launch(overrides, batch[0].number)
        except Exception as error:  # a process that dies breaks its launcher, and with it the other jobs of the batch
            if not any(has_job(self.trial_folder(trial.number)) for trial in batch):
                raise
            log.error("the launcher failed: %s", format_error(error))
            self.deaths.update(trial.number for trial in batch)
        for number in (trial.number for trial in batch):
            if not self.tell_outcome(number) and not self.deaths[number]:
                resume = f"Resume with the same command and run.name={self.folder.name}"
                raise RunError(f"trial {number} was interrupted. {resume}")

    def tell_outcome(self, number: int) -> bool:
        """Tell the study the outcome of a trial; return False if the trial has not ended."""
        outcome = read_outcome(self.trial_folder(number), self.study.user_attrs[FACTS_ATTR]["metric"])
        if outcome is None and self.deaths[number] >= MAX_DEATHS:
            outcome = TrialOutcome(TrialState.FAIL, reason=f"its process died {MAX_DEATHS} times")
        if outcome is None:
            return False
        if outcome.reason:
            load_trial(self.study, number).set_user_attr(REASON_ATTR, outcome.reason)
        self.study.tell(number, outcome.value, state=outcome.state)
        return True

    def trial_folder(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / str(number)


def split_consecutive(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """Split trials into batches with consecutive numbers, since launchers number jobs that way."""
    for _, pairs in itertools.groupby(enumerate(trials), lambda pair: pair[1].number - pair[0]):
        yield [trial for _, trial in pairs]


def wait_for_trial(folder: Path, number: int) -> None:
    """Wait until no process works on a trial: jobs may outlive the search that launched them."""
    warned = False
    while has_running_process(folder):
        if not warned:
            log.warning("waiting for trial %d, still running from an earlier launch", number)
        warned = True


def has_running_process(folder: Path) -> bool:
    """Return True if a process works on the run in the folder; checking takes some seconds."""
    try:
        check_unlocked(folder)
    except ValueError:
        return True
    return False
