"""What has become of a trial: read from the folder of its run, whoever ran it and wherever."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gantry.files import write_text
from gantry.runs.folder import read_config
from gantry.runs.layout import CONFIG_FILE, STUDY_FILE
from gantry.runs.status import RunStatus, read_run_status
from gantry.runs.summary import read_best_score
from gantry.sweeps.search.space import SearchSpace
from gantry.sweeps.search.study import FACTS_ATTR

TRIAL_STATES = {
    RunStatus.FINISHED: TrialState.COMPLETE,
    RunStatus.PRUNED: TrialState.PRUNED,
    RunStatus.FAILED: TrialState.FAIL,
}

REASON_ATTR = "reason"  # the name under which a study keeps why a trial failed


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended; `value` is the best score of a complete one while it trained, `reason` says why not."""

    state: TrialState
    value: float | None = None
    reason: str = ""


def read_outcome(folder: Path, monitor: str) -> TrialOutcome | None:
    """How the run of a folder ended; None for one of which more is to be done."""
    config: Any = read_config(folder) if (folder / CONFIG_FILE).is_file() else {}
    status = read_run_status(folder, config.get("turns"))
    if status.state not in TRIAL_STATES:
        return None
    state = TRIAL_STATES[status.state]
    if state != TrialState.COMPLETE:
        return TrialOutcome(state, reason=status.reason)
    value = read_best_score(folder, monitor)
    if value is None:
        return TrialOutcome(TrialState.FAIL, reason=f"its evaluations left no finite {monitor}")
    return TrialOutcome(state, value)


OPTIMISED_NOTE = "the best score of each run while it trained (best in its summary.json), not that of its report"


def write_study_json(study: Study, space: SearchSpace, folder: Path) -> None:
    """Write study.json into the folder of a sweep: the best trial, and all others."""
    trials = study.get_trials(deepcopy=False)
    complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    content = {
        **study.user_attrs[FACTS_ATTR],
        "optimised": OPTIMISED_NOTE,
        "counts": count_trial_states(trials),
        "best": trial_to_json(study.best_trial, space, folder) if complete else None,
        "trials": [trial_to_json(trial, space, folder) for trial in trials],
    }
    write_text(folder / STUDY_FILE, json.dumps(content, indent=2) + "\n")


def trial_to_json(trial: FrozenTrial, space: SearchSpace, folder: Path) -> dict[str, Any]:
    """A trial: its number, how it ended, the value that was optimised, what it was told and where it is."""
    complete = trial.state == TrialState.COMPLETE
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "reason": trial.user_attrs.get(REASON_ATTR, ""),
        "value": trial.value if complete else None,
        "overrides": [f"{key}={trial.params[key]}" for key in space.distributions if key in trial.params],
        "folder": str(folder / str(trial.number)),
    }


def count_trial_states(trials: list[FrozenTrial]) -> dict[str, int]:
    """How many trials ended how: {"complete": 7, "fail": 1}."""
    return dict(Counter(trial.state.name.lower() for trial in trials))


def format_best_trial(study: Study, space: SearchSpace, folder: Path) -> str:
    """The best trial in a line."""
    about, best = study.user_attrs[FACTS_ATTR], trial_to_json(study.best_trial, space, folder)
    ended = ", ".join(f"{count} {state}" for state, count in count_trial_states(study.trials).items())
    told = " ".join(best["overrides"])
    what = f"best trial {best['number']} of {len(study.trials)} ({ended})"
    return f"{what}: best {about['metric']} ({about['mode']}) {best['value']:.6g}, {told} ({best['folder']})"


def format_no_complete_trial(study: Study) -> str:
    """What is said of a search without a complete trial."""
    trials = study.get_trials(deepcopy=False)
    if not trials:
        return "no trial has begun within hydra.sweeper.timeout"
    ended = ", ".join(f"{count} {state}" for state, count in count_trial_states(trials).items())
    return f"no trial was completed ({ended}); the last one: {trials[-1].user_attrs.get(REASON_ATTR, 'no reason')}"
