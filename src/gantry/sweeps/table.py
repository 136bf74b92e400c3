"""The table that a sweep leaves: a row for each job, whatever has become of it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gantry.compare.comparison import Comparison, compare_runs
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_table_header, format_table_row
from gantry.compare.protocols import format_protocol_legend, format_run_protocol
from gantry.compare.run_record import BEST_AND_LAST, RunRecord, last_finite_value
from gantry.files import write_text
from gantry.runs.layout import TABLE_CSV, TABLE_MARKDOWN
from gantry.runs.status import RunStatus

SELECTED_PREFIX = "selected"
Cells = list[str]


def write_sweep_table(sweep: Path) -> Comparison:
    """Write table.csv and table.md into the folder of a sweep. Raises ValueError while there is no job."""
    found = read_runs([str(sweep)])
    comparison = compare_runs(found.runs, found.unreadable)
    write_text(sweep / TABLE_CSV, format_sweep_csv(comparison))
    write_text(sweep / TABLE_MARKDOWN, format_sweep_markdown(comparison))
    return comparison


def format_sweep_csv(comparison: Comparison) -> str:
    """Numbers with all their digits; each row says in words how they were measured."""
    text = io.StringIO()
    swept, numbers = find_swept_keys(comparison.runs), list_score_columns(comparison)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *swept, "status", "reason", "turn", "seconds", *numbers, "protocol"])
    for run in comparison.runs:
        state = [str(run.status.state), run.status.reason]
        scores = [format_number_cell(get_column_score(run, key), "r") for key in numbers]
        done = [
            format_number_cell(last_finite_value(run.metrics, "turn"), ".0f"),
            format_number_cell(run.seconds, ".1f"),
        ]
        writer.writerow([run.name, *make_override_cells(run, swept), *state, *done, *scores, format_run_protocol(run)])
    return text.getvalue()


def format_sweep_markdown(comparison: Comparison) -> str:
    """The same for people; the protocols are named by letters, and told below."""
    swept, numbers = find_swept_keys(comparison.runs), list_score_columns(comparison)
    head = ["job", *swept, "status", "seconds", *numbers, "protocol"]
    lines = format_table_header(head)
    for run, letter in zip(comparison.runs, comparison.protocol_labels):
        scores = [format_number_cell(get_column_score(run, key), ".4g") for key in numbers]
        lines.append(
            format_table_row(
                [
                    run.name,
                    *make_override_cells(run, swept),
                    str(run.status),
                    format_number_cell(run.seconds, ".0f"),
                    *scores,
                    letter,
                ]
            )
        )
    notes = [*format_protocol_legend(comparison.runs, comparison.protocol_labels), *comparison.unreadable]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"


def find_swept_keys(runs: Sequence[RunRecord]) -> list[str]:
    """The keys of the overrides that are not the same for all jobs; all, of a single job."""
    words = [select_overrides(run) for run in runs]
    every = dict.fromkeys(key for of_run in words for key in of_run)
    return [key for key in every if len(words) == 1 or len({of_run.get(key) for of_run in words}) > 1]


def select_overrides(run: RunRecord) -> dict[str, str]:
    """What a run was told of the experiment: {"model": "dcgan"}."""
    words = (word.partition("=") for word in run.overrides)
    return {key: given for key, _, given in words if not key.startswith(("run.", "hydra.", "resume"))}


def make_override_cells(run: RunRecord, swept: Sequence[str]) -> Cells:
    """The overrides of a run, in columns."""
    return [select_overrides(run).get(key, "") for key in swept]


def list_score_columns(comparison: Comparison) -> list[str]:
    """`best/fd_digits`, `last/fd_digits` and so on, those of the deciding score first.

    Behind them, where reports are shown, what selected the best checkpoints, and what a search optimises.
    """
    shown = any(run.has_report and comparison.monitor in run.selection_scores for run in comparison.runs)
    selected = [f"{SELECTED_PREFIX}/{comparison.monitor}"] if shown else []
    return [*(f"{place}/{name}" for name in comparison.score_names for place in BEST_AND_LAST), *selected]


def get_column_score(run: RunRecord, key: str) -> float | None:
    """The number under a key."""
    place, _, name = key.partition("/")
    return run.selection_scores.get(name) if place == SELECTED_PREFIX else run.get_score(place, name)


def format_number_cell(number: float | None, how: str) -> str:
    """A number as a cell, empty for none; "r" with all digits."""
    if number is None:
        return ""
    return repr(number) if how == "r" else format(number, how)


def format_state_counts(comparison: Comparison) -> str:
    """`8 jobs: 6 finished, 1 failed, 1 interrupted`."""
    states = [run.status.state for run in comparison.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in RunStatus if state in states)
    return f"{len(states)} job{'s' * (len(states) != 1)}: {counts}"
