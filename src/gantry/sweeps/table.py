"""The table that a sweep leaves: a row for each job, whatever has become of it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gantry.compare.comparison import Comparison, compare_runs
from gantry.compare.find_runs import read_all
from gantry.compare.markdown import heading, row
from gantry.compare.protocols import described, explained
from gantry.compare.run_record import PLACES, Run, last_of
from gantry.files import replace
from gantry.runs.status import State

FILE = "table"
SELECTED = "selected"
Cells = list[str]


def write_table(sweep: Path) -> Comparison:
    """Write table.csv and table.md into the folder of a sweep. Raises ValueError while there is no job."""
    found = read_all([str(sweep)])
    comparison = compare_runs(found.runs, found.broken)
    replace(sweep / f"{FILE}.csv", as_csv(comparison))
    replace(sweep / f"{FILE}.md", as_markdown(comparison))
    return comparison


def as_csv(comparison: Comparison) -> str:
    """Numbers with all their digits; each row says in words how they were measured."""
    text = io.StringIO()
    swept, numbers = keys(comparison.runs), numbers_of(comparison)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *swept, "status", "reason", "turn", "seconds", *numbers, "protocol"])
    for run in comparison.runs:
        state = [str(run.status.state), run.status.reason]
        scores = [said(value(run, key), "r") for key in numbers]
        done = [said(last_of(run.metrics, "turn"), ".0f"), said(run.seconds, ".1f")]
        writer.writerow([run.name, *told(run, swept), *state, *done, *scores, described(run)])
    return text.getvalue()


def as_markdown(comparison: Comparison) -> str:
    """The same for people; the protocols are named by letters, and told below."""
    swept, numbers = keys(comparison.runs), numbers_of(comparison)
    head = ["job", *swept, "status", "seconds", *numbers, "protocol"]
    lines = heading(head)
    for run, letter in zip(comparison.runs, comparison.letters):
        scores = [said(value(run, key), ".4g") for key in numbers]
        lines.append(row([run.name, *told(run, swept), str(run.status), said(run.seconds, ".0f"), *scores, letter]))
    notes = [*explained(comparison.runs, comparison.letters), *comparison.broken]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"


def keys(runs: Sequence[Run]) -> list[str]:
    """The keys of the overrides that are not the same for all jobs; all, of a single job."""
    words = [overrides(run) for run in runs]
    every = dict.fromkeys(key for of_run in words for key in of_run)
    return [key for key in every if len(words) == 1 or len({of_run.get(key) for of_run in words}) > 1]


def overrides(run: Run) -> dict[str, str]:
    """What a run was told of the experiment: {"model": "dcgan"}."""
    words = (word.partition("=") for word in run.told)
    return {key: given for key, _, given in words if not key.startswith(("run.", "hydra.", "resume"))}


def told(run: Run, swept: Sequence[str]) -> Cells:
    """The overrides of a run, in columns."""
    return [overrides(run).get(key, "") for key in swept]


def numbers_of(comparison: Comparison) -> list[str]:
    """`best/fd_digits`, `last/fd_digits` and so on, those of the deciding score first.

    Behind them, where reports are shown, what selected the best checkpoints, and what a search optimises.
    """
    shown = any(run.reported and comparison.score in run.selected for run in comparison.runs)
    selected = [f"{SELECTED}/{comparison.score}"] if shown else []
    return [*(f"{place}/{name}" for name in comparison.scores for place in PLACES), *selected]


def value(run: Run, key: str) -> float | None:
    """The number under a key."""
    place, _, name = key.partition("/")
    return run.selected.get(name) if place == SELECTED else run.number(place, name)


def said(number: float | None, how: str) -> str:
    """A number as a cell, empty for none; "r" with all digits."""
    if number is None:
        return ""
    return repr(number) if how == "r" else format(number, how)


def counted(comparison: Comparison) -> str:
    """`8 jobs: 6 finished, 1 failed, 1 interrupted`."""
    states = [run.status.state for run in comparison.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in State if state in states)
    return f"{len(states)} job{'s' * (len(states) != 1)}: {counts}"
