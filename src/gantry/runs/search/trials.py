"""What has become of a trial: read from the folder of its run, whoever ran it and wherever."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from gantry.runs.job import State, status_of
from gantry.runs.run_folder import read_config
from gantry.runs.summary import best_score, read_summary

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
