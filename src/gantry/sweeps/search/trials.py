"""What has become of a trial: read from the folder of its run, whoever ran it and wherever."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gantry.files import replace
from gantry.runs.folder import read_config
from gantry.runs.status import State, status_of
from gantry.runs.summary import best_score, read_summary
from gantry.sweeps.search.space import Space
from gantry.sweeps.search.study import ABOUT

ENDS = {State.FINISHED: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED, State.FAILED: TrialState.FAIL}

REASON = "reason"  # the name under which a study keeps why a trial failed


@dataclass(frozen=True)
class Outcome:
    """How a trial ended; `value` is the best score of a complete one while it trained, `reason` says why not."""

    state: TrialState
    value: float | None = None
    reason: str = ""


def outcome(folder: Path, monitor: str) -> Outcome | None:
    """How the run of a folder ended; None for one of which more is to be done."""
    config: Any = read_config(folder) if (folder / "config.yaml").is_file() else {}
    status = status_of(folder, read_summary(folder).get("turns"), config.get("turns"))
    if status.state not in ENDS:
        return None
    state = ENDS[status.state]
    if state != TrialState.COMPLETE:
        return Outcome(state, reason=status.reason)
    value = best_score(folder, monitor)
    if value is None:
        return Outcome(TrialState.FAIL, reason=f"its evaluations left no finite {monitor}")
    return Outcome(state, value)


FILE = "study.json"

OPTIMISED = "the best score of each run while it trained (best in its summary.json), not that of its report"


def write_study(study: Study, space: Space, folder: Path) -> None:
    """Write study.json into the folder of a sweep: the best trial, and all others."""
    trials = study.get_trials(deepcopy=False)
    complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    content = {
        **study.user_attrs[ABOUT],
        "optimised": OPTIMISED,
        "counts": counts(trials),
        "best": described(study.best_trial, space, folder) if complete else None,
        "trials": [described(trial, space, folder) for trial in trials],
    }
    replace(folder / FILE, json.dumps(content, indent=2) + "\n")


def described(trial: FrozenTrial, space: Space, folder: Path) -> dict[str, Any]:
    """A trial: its number, how it ended, the value that was optimised, what it was told and where it is."""
    complete = trial.state == TrialState.COMPLETE
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "reason": trial.user_attrs.get(REASON, ""),
        "value": trial.value if complete else None,
        "overrides": [f"{key}={trial.params[key]}" for key in space.swept if key in trial.params],
        "folder": str(folder / str(trial.number)),
    }


def counts(trials: list[FrozenTrial]) -> dict[str, int]:
    """How many trials ended how: {"complete": 7, "fail": 1}."""
    return dict(Counter(trial.state.name.lower() for trial in trials))


def best_line(study: Study, space: Space, folder: Path) -> str:
    """The best trial in a line."""
    about, best = study.user_attrs[ABOUT], described(study.best_trial, space, folder)
    ended = ", ".join(f"{count} {state}" for state, count in counts(study.trials).items())
    told = " ".join(best["overrides"])
    what = f"best trial {best['number']} of {len(study.trials)} ({ended})"
    return f"{what}: best {about['metric']} ({about['mode']}) {best['value']:.6g}, {told} ({best['folder']})"


def failures_line(study: Study) -> str:
    """What is said of a search without a complete trial."""
    trials = study.get_trials(deepcopy=False)
    if not trials:
        return "no trial has begun within hydra.sweeper.timeout"
    ended = ", ".join(f"{count} {state}" for state, count in counts(trials).items())
    return f"no trial was completed ({ended}); the last one: {trials[-1].user_attrs.get(REASON, 'no reason')}"
