"""The study of a search: a file in the folder of its sweep, `study.journal`.

Optuna's journal needs no database, is appended to under a lock that also holds on shared file systems, and so may be
written by the processes of many machines; SQLite's locks do not hold on those.
"""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study, StudyDirection
from optuna.trial import Trial

from gantry.runs.layout import JOURNAL_FILE

STUDY_NAME = "search"
FACTS_ATTR = "about"
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
FACT_NAMES = {"metric": "score", "mode": "direction", "space": "search space", "experiment": "experiment"}


def open_study(folder: Path, pruner: BasePruner | None = None) -> Study:
    """The study of a search, as the processes of its trials see it."""
    silence_optuna()
    return optuna.load_study(
        study_name=STUDY_NAME, storage=open_journal(folder), sampler=RandomSampler(), pruner=pruner
    )


def create_or_load_study(folder: Path, about: Mapping[str, Any]) -> Study:
    """The study to go on with, or a new one; `about` is what all of its trials have in common.

    Raises ValueError when the study that is there is about something else, or the folder holds another sweep.
    """
    silence_optuna()
    check_search_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    truncate_partial_line(folder / JOURNAL_FILE)
    study = optuna.create_study(
        study_name=STUDY_NAME,
        storage=open_journal(folder),
        direction=DIRECTIONS[about["mode"]],
        sampler=RandomSampler(),
        load_if_exists=True,
    )
    if FACTS_ATTR not in study.user_attrs:
        study.set_user_attr(FACTS_ATTR, dict(about))
    check_same_search(folder, study.user_attrs[FACTS_ATTR], about)
    return study


def check_same_search(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ValueError unless two searches are about the same."""
    for key, name in FACT_NAMES.items():
        if before[key] != now[key]:
            old, new = (json.dumps(one[key]) for one in (before, now))
            raise ValueError(f"run.name must be new for another {name}, got {folder}, where it is {old} and not {new}")


def check_search_folder(folder: Path) -> None:
    """Raise ValueError for jobs that belong to no study: they are another sweep's."""
    if any(path.name.isdigit() for path in folder.glob("*")) and not (folder / JOURNAL_FILE).exists():
        raise ValueError(f"run.name must be new for a search, got {folder}, which holds a sweep of another kind")


def truncate_partial_line(path: Path) -> None:
    """Cut off a line that a crash cut short: what is written behind it could not be read."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        if not (lines := path.read_bytes()).endswith(b"\n"):
            os.truncate(path, lines.rfind(b"\n") + 1)
    finally:
        lock.release()


def open_journal(folder: Path) -> JournalStorage:
    """Where the study is kept."""
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL_FILE)))


def load_trial(study: Study, number: int) -> Trial:
    """A trial that is there already, to be told of its scores or completed."""
    return Trial(study, study.trials[number]._trial_id)


def silence_optuna() -> None:
    """Optuna need not say that a part of it is new, or that a study was made or found."""
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
