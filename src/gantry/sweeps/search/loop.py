"""The loop of a search: choose, run, look at what has become of it, until there are as many trials as asked for."""

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
AUTO_RESUME = "run.auto_resume=true"  # a trial that was interrupted goes on from its checkpoint
MAX_DEATHS = 2  # how often the processes of a trial may die without a word


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
        """Make the trials that are missing. Raises RunError when none could be completed."""
        started = time.monotonic()
        while trials := self.collect_unfinished() or self.ask_trials(started):
            for batch in split_consecutive(trials):
                self.run_batch(batch)
                write_study_json(self.study, self.space, self.folder)
        write_study_json(self.study, self.space, self.folder)  # of a search that was killed before it could
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise RunError(format_no_complete_trial(self.study))
        print(format_best_trial(self.study, self.space, self.folder))

    def ask_trials(self, started: float) -> list[Trial]:
        """New trials: a batch, or what is missing of all; none when the time is over."""
        missing = self.settings.n_trials - len(self.study.trials)
        if time.monotonic() - started >= self.settings.timeout:
            return []
        return [self.suggest_missing(self.study.ask()) for _ in range(min(self.settings.n_jobs, missing))]

    def collect_unfinished(self) -> list[Trial]:
        """Trials that have begun and are to go on; those whose end was not written down are told of it."""
        begun = [trial.number for trial in self.study.get_trials(states=(TrialState.RUNNING,))]
        for number in begun:
            wait_for_trial(self.trial_folder(number), number)
        return [
            self.suggest_missing(load_trial(self.study, number)) for number in begun if not self.tell_outcome(number)
        ]

    def suggest_missing(self, trial: Trial) -> Trial:
        """A trial with values for all keys; those that it has, it keeps."""
        self.study.sampler = self.settings.make_sampler(trial.number)
        trial = load_trial(self.study, trial.number)
        for key, one in self.space.distributions.items():
            suggest_value(trial, key, one)
        return trial

    def run_batch(self, batch: Sequence[Trial]) -> None:
        """Run trials of consecutive numbers."""
        words = [[*self.space.to_overrides(trial.params), AUTO_RESUME] for trial in batch]
        try:
            self.launch(words, batch[0].number)
        except Exception as error:  # a process that died takes its launcher along, and the other jobs of the batch
            if not any(has_job(self.trial_folder(trial.number)) for trial in batch):
                raise
            log.error("the launcher failed: %s", format_error(error))
            self.deaths.update(trial.number for trial in batch)
        for number in (trial.number for trial in batch):
            if not self.tell_outcome(number) and not self.deaths[number]:
                raise RunError(
                    f"trial {number} was interrupted; the same command with run.name={self.folder.name} goes on"
                )

    def tell_outcome(self, number: int) -> bool:
        """Tell the study how a trial ended; -> whether it has."""
        end = read_outcome(self.trial_folder(number), self.study.user_attrs[FACTS_ATTR]["metric"])
        if end is None and self.deaths[number] >= MAX_DEATHS:
            end = TrialOutcome(TrialState.FAIL, reason=f"its process died {MAX_DEATHS} times")
        if end is None:
            return False
        if end.reason:
            load_trial(self.study, number).set_user_attr(REASON_ATTR, end.reason)
        self.study.tell(number, end.value, state=end.state)
        return True

    def trial_folder(self, number: int) -> Path:
        """Where a trial runs."""
        return self.folder / str(number)


def split_consecutive(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The trials in runs of consecutive numbers, which is how launchers number their jobs."""
    for _, run in itertools.groupby(enumerate(trials), lambda pair: pair[1].number - pair[0]):
        yield [trial for _, trial in run]


def wait_for_trial(folder: Path, number: int) -> None:
    """Wait until no process works on a trial: those that a launcher has started may outlive the search."""
    said = False
    while has_running_process(folder):
        if not said:
            log.warning("trial %d still runs, of an earlier start: waiting for it", number)
        said = True


def has_running_process(folder: Path) -> bool:
    """Whether a process works on the run of a folder; takes some seconds to say so."""
    try:
        check_unlocked(folder)
    except ValueError:
        return True
    return False
