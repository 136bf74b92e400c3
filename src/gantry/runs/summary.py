"""Read and write `summary.json` in a run folder: scores with their protocol."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gantry.config.rules import Rule, or_null
from gantry.files import write_text
from gantry.runs.layout import SUMMARY_FILE
from gantry.runs.lock import lock_changes
from gantry.runs.stored_values import COUNT, LIST, MAPPING, NUMBER, check_values, read_json
from gantry.values import non_finite_to_none

ENTRY_RULES: dict[str, Rule] = {
    "": MAPPING,
    ".turn": or_null(COUNT),
    ".kimg": or_null(NUMBER),
    ".scores": MAPPING,
    ".scores.*": or_null(NUMBER),
    ".protocol": MAPPING,
    ".protocol.scores": MAPPING,
}

ENTRY_KEYS = ("start", "best", "last", "report.best", "report.last", "evaluations.*")

SCORES_AND_PROTOCOL: Rule = ("scores and their protocol", lambda entry: {"scores", "protocol"} <= set(entry))

SUMMARY_RULES: dict[str, Rule] = {
    "": MAPPING,
    "turns": COUNT,
    "kimg": NUMBER,
    "seconds": NUMBER,
    "parameters": MAPPING,
    "report": MAPPING,
    "evaluations": LIST,
} | {f"{key}{name}": rule for key in ENTRY_KEYS for name, rule in ENTRY_RULES.items()}


def write_summary(folder: Path, entries: Mapping[str, Any]) -> None:
    """Put entries into the summary, each in place of an earlier one of its name; of a job's processes one calls it.

    An entry is replaced as a whole, for its scores and their protocol belong together.
    """
    with lock_changes(folder):
        _write_entries(folder, entries)


def add_evaluation(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add the scores of a later evaluation to the summary."""
    with lock_changes(folder):
        _write_entries(folder, {"evaluations": [*read_summary(folder).get("evaluations", []), entry]})


def _write_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    summary = read_summary(folder) | {name: non_finite_to_none(entry) for name, entry in entries.items()}
    write_text(folder / SUMMARY_FILE, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary so far, {} before it is written. Raises UserError if it is not one."""
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return {}
    summary: dict[str, Any] = read_json(path)
    check_values(path, summary, SUMMARY_RULES)
    return summary


def select_best_and_last(folder: Path, summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of best and last of the summary of a run in a folder.

    They are those of the report if there is one, else those made while training. Raises UserError for an entry without
    scores and their protocol.
    """
    prefix = "report." if "report" in summary else ""
    rules = {f"{prefix}{which}": SCORES_AND_PROTOCOL for which in ("best", "last")}
    check_values(folder / SUMMARY_FILE, summary, rules)
    entries = summary.get("report", summary)
    return {which: entries[which] for which in ("best", "last") if which in entries}


def read_checkpoint_rule(folder: Path, name: str) -> str:
    """Return in words how the generator `name` (best, last) of a run was chosen."""
    protocol = read_summary(folder).get(name, {}).get("protocol", {})
    return str(protocol.get("checkpoint", name))


def read_best_score(folder: Path, monitor: str | None) -> float | None:
    """Return the best value of the monitored score while the run trained, which selected best.ckpt; None without one.

    It is what a search optimises. The report has the number to be believed: made once, of other latents.
    """
    value = read_summary(folder).get("best", {}).get("scores", {}).get(monitor)
    return None if value is None else float(value)
