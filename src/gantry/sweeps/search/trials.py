"""Read the outcome of a trial from its run folder, and report on all trials."""

import json
from collections import Counter
from collections.abc import Sequence
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
REASON_ATTR = "reason"  # the attribute of a trial in the study that says why it failed
OPTIMISED_NOTE = "the best score of each run while it trained (best in its summary.json), not that of its report"


@dataclass(frozen=True)
class TrialOutcome:
    """The end of a trial: `value`, the best score during training, if it is complete, else the `reason`."""

    state: TrialState
    value: float | None = None
    reason: str = ""


def read_outcome(folder: Path, monitor: str) -> TrialOutcome | None:
    """Return the outcome of the run in a folder; None if it has not ended."""
    config: Any = read_config(folder) if (folder / CONFIG_FILE).is_file() else {}
    status = read_run_status(folder, config.get("turns"))
    if status.state not in TRIAL_STATES:
        return None
    state = TRIAL_STATES[status.state]
    if state != TrialState.COMPLETE:
        return TrialOutcome(state, reason=status.reason)
    value = read_best_score(folder, monitor)
    if value is None:
        return TrialOutcome(TrialState.FAIL, reason=f"its evaluations gave no finite {monitor}")
    return TrialOutcome(state, value)


def write_study_json(study: Study, space: SearchSpace, folder: Path) -> None:
    """Write study.json into the folder of a sweep: the best trial, and all trials."""
    trials = study.get_trials(deepcopy=False)
    has_complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    content = {
        **study.user_attrs[FACTS_ATTR],
        "optimised": OPTIMISED_NOTE,
        "counts": count_trial_states(trials),
        "best": trial_to_json(study.best_trial, space, folder) if has_complete else None,
        "trials": [trial_to_json(trial, space, folder) for trial in trials],
    }
    write_text(folder / STUDY_FILE, json.dumps(content, indent=2) + "\n")


def trial_to_json(trial: FrozenTrial, space: SearchSpace, folder: Path) -> dict[str, Any]:
    """Return a trial as JSON values: number, state, reason, score, overrides and folder."""
    is_complete = trial.state == TrialState.COMPLETE
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "reason": trial.user_attrs.get(REASON_ATTR, ""),
        "value": trial.value if is_complete else None,
        "overrides": [f"{key}={trial.params[key]}" for key in space.distributions if key in trial.params],
        "folder": str(folder / str(trial.number)),
    }


def count_trial_states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Return the number of trials in each state: {"complete": 7, "fail": 1}."""
    return dict(Counter(trial.state.name.lower() for trial in trials))


def format_trial_counts(trials: Sequence[FrozenTrial]) -> str:
    """Return `7 complete, 1 fail`."""
    return ", ".join(f"{count} {state}" for state, count in count_trial_states(trials).items())


def format_best_trial(study: Study, space: SearchSpace, folder: Path) -> str:
    """Return the best trial in one line."""
    facts, best = study.user_attrs[FACTS_ATTR], trial_to_json(study.best_trial, space, folder)
    trial = f"best trial {best['number']} of {len(study.trials)} ({format_trial_counts(study.trials)})"
    score = f"best {facts['metric']} ({facts['mode']}) {best['value']:.6g}"
    return f"{trial}: {score}, {' '.join(best['overrides'])} ({best['folder']})"


def format_no_complete_trial(study: Study) -> str:
    """Return the error message of a search without a complete trial."""
    trials = study.get_trials(deepcopy=False)
    if not trials:
        return "no trial has started within hydra.sweeper.timeout"
    reason = trials[-1].user_attrs.get(REASON_ATTR, "no reason")
    return f"no trial was completed ({format_trial_counts(trials)}); the last one: {reason}"
