"""The Optuna study of a search, kept in `study.journal` in the folder of its sweep.

Optuna's journal needs no database, and its lock holds on shared file systems, where the locks of SQLite do not:
processes on many machines append to it.
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
    """Open the existing study of a search, as the process of a trial does."""
    silence_optuna()
    storage, sampler = open_journal(folder), RandomSampler()
    return optuna.load_study(study_name=STUDY_NAME, storage=storage, sampler=sampler, pruner=pruner)


def create_or_load_study(folder: Path, facts: Mapping[str, Any]) -> Study:
    """Open the study in a folder, or create it; `facts` are what all of its trials have in common.

    Raises ValueError if the existing study has other facts, or the folder holds another kind of sweep.
    """
    silence_optuna()
    check_search_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    truncate_partial_line(folder / JOURNAL_FILE)
    study = optuna.create_study(
        study_name=STUDY_NAME,
        storage=open_journal(folder),
        direction=DIRECTIONS[facts["mode"]],
        sampler=RandomSampler(),
        load_if_exists=True,
    )
    if FACTS_ATTR not in study.user_attrs:
        study.set_user_attr(FACTS_ATTR, dict(facts))
    check_same_search(folder, study.user_attrs[FACTS_ATTR], facts)
    return study


def check_same_search(folder: Path, stored: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise ValueError unless two searches have the same facts."""
    for key, name in FACT_NAMES.items():
        if stored[key] != facts[key]:
            old, new = json.dumps(stored[key]), json.dumps(facts[key])
            raise ValueError(f"run.name must be new for another {name}, got {folder}, where it is {old} and not {new}")


def check_search_folder(folder: Path) -> None:
    """Raise ValueError if a folder has jobs but no study: they belong to another kind of sweep."""
    if any(path.name.isdigit() for path in folder.glob("*")) and not (folder / JOURNAL_FILE).exists():
        raise ValueError(f"run.name must be new for a search, got {folder}, which holds a sweep of another kind")


def truncate_partial_line(path: Path) -> None:
    """Remove an incomplete last line that a crash left behind: Optuna could not read what follows it."""
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
    """Open the storage of the study."""
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL_FILE)))


def load_trial(study: Study, number: int) -> Trial:
    """Return an existing trial as one that can be changed."""
    return Trial(study, study.trials[number]._trial_id)


def silence_optuna() -> None:
    """Silence Optuna's warnings about experimental features and its messages about created studies."""
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
