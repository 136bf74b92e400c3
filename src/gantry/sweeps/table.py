"""Write table.csv and table.md of a sweep: a row for each job, whatever its state."""

import csv
import io
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote

from gantry.compare.comparison import Comparison, compare_runs
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_table_header, format_table_row
from gantry.compare.protocols import format_run_protocol
from gantry.compare.run_record import BEST_AND_LAST, RunRecord, last_finite_value
from gantry.config.text_values import quote_text
from gantry.files import write_text
from gantry.runs.layout import CURVES_FILE, PARALLEL_FILE, TABLE_CSV, TABLE_MARKDOWN
from gantry.runs.status import RunStatus

SELECTED_PREFIX = "selected"
Cells = list[str]


def write_sweep_table(sweep: Path) -> Comparison:
    """Write both tables into the folder of a sweep. Raises ValueError if there is no job yet."""
    runs = read_runs([str(sweep)])
    comparison = compare_runs(runs.runs, runs.unreadable)
    write_text(sweep / TABLE_CSV, format_sweep_csv(comparison))
    write_text(sweep / TABLE_MARKDOWN, format_sweep_markdown(comparison))
    return comparison


def format_sweep_csv(comparison: Comparison) -> str:
    """Return the table as CSV: scores with all digits, the protocol of each row in words."""
    text = io.StringIO()
    keys, score_columns = find_swept_keys(comparison.runs), list_score_columns(comparison)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *keys, "status", "reason", "turn", "seconds", *score_columns, "protocol"])
    for run in comparison.runs:
        turn = format_number_cell(last_finite_value(run.metrics, "turn"), ".0f")
        seconds = format_number_cell(run.seconds, ".1f")
        scores = [format_number_cell(get_column_score(run, column), "r") for column in score_columns]
        row = [run.name, *make_override_cells(run, keys), str(run.status.state), run.status.reason, turn, seconds]
        writer.writerow([*row, *scores, format_run_protocol(run)])
    return text.getvalue()


def format_sweep_markdown(comparison: Comparison) -> str:
    """Return the table as Markdown: scores with four digits, protocols as letters with a legend below."""
    keys, score_columns = find_swept_keys(comparison.runs), list_score_columns(comparison)
    lines = format_table_header(["job", *keys, "status", "seconds", *score_columns, "protocol"])
    for run, label in zip(comparison.runs, comparison.protocol_labels):
        scores = [format_number_cell(get_column_score(run, column), ".4g") for column in score_columns]
        row = [run.name, *make_override_cells(run, keys), str(run.status), format_number_cell(run.seconds, ".0f")]
        lines.append(format_table_row([*row, *scores, label]))
    notes = [*comparison.legend, *comparison.unreadable]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"


def find_swept_keys(runs: Sequence[RunRecord]) -> list[str]:
    """Return the keys whose overrides differ between jobs; all keys if there is only one job."""
    overrides = [select_overrides(run) for run in runs]
    keys = dict.fromkeys(key for by_key in overrides for key in by_key)
    return [key for key in keys if len(runs) == 1 or len({by_key.get(key) for by_key in overrides}) > 1]


def select_overrides(run: RunRecord) -> dict[str, str]:
    """Return the overrides of the experiment: {"model": "dcgan"}."""
    items = (item.partition("=") for item in run.overrides)
    return {key: value for key, _, value in items if not key.startswith(("run.", "hydra.", "resume"))}


def make_override_cells(run: RunRecord, keys: Sequence[str]) -> Cells:
    """Return the overrides of a run as cells."""
    return [select_overrides(run).get(key, "") for key in keys]


def list_score_columns(comparison: Comparison) -> list[str]:
    """Return `best/fd_digits`, `last/fd_digits` and so on, those of the deciding score first.

    If the scores are those of reports, the last column is the score that selected the best checkpoint, which is also
    the one that a search optimises.
    """
    has_selection = any(run.has_report and comparison.monitor in run.selection_scores for run in comparison.runs)
    selected = [f"{SELECTED_PREFIX}/{comparison.monitor}"] if has_selection else []
    return [*(f"{which}/{name}" for name in comparison.score_names for which in BEST_AND_LAST), *selected]


def get_column_score(run: RunRecord, column: str) -> float | None:
    """Return the score of a run in a column."""
    which, _, name = column.partition("/")
    return run.selection_scores.get(name) if which == SELECTED_PREFIX else run.get_score(which, name)


def format_number_cell(number: float | None, spec: str) -> str:
    """Return a number as a cell, empty for None; `spec` "r" keeps all digits."""
    if number is None:
        return ""
    return repr(number) if spec == "r" else format(number, spec)


def format_state_counts(comparison: Comparison) -> str:
    """Return `8 jobs: 6 finished, 1 failed, 1 interrupted`."""
    states = [run.status.state for run in comparison.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in RunStatus if state in states)
    return f"{len(states)} job{'s' * (len(states) != 1)}: {counts}"


def format_sweep_summary(comparison: Comparison, sweep: Path) -> str:
    """Return how the jobs ended, the best one with its score, the figures, and the command that compares them."""
    lines = [f"{format_state_counts(comparison)} ({sweep / TABLE_MARKDOWN})"]
    best = find_best_job(comparison)
    if best is not None:
        chosen = select_overrides(best)
        swept = " ".join(f"{key}={chosen[key]}" for key in find_swept_keys(comparison.runs) if key in chosen)
        score = f"{comparison.monitor} {best.get_score('best', comparison.monitor):.4g}"
        lines.append(f"best job: {score}, {swept or best.name} ({best.folder})")
    figures = [str(sweep / name) for name in (CURVES_FILE, PARALLEL_FILE) if (sweep / name).is_file()]
    lines += [f"figures: {', '.join(figures)}"] if figures else []
    return "\n".join([*lines, f"compare the jobs: python src/compare.py {format_runs_override(sweep)}"])


def find_best_job(comparison: Comparison) -> RunRecord | None:
    """Return the job with the best score of the best checkpoint, a finished one if there is any, of those that were
    measured like most; None without scores."""
    if comparison.deciding_run is None:
        return None
    labelled = zip(comparison.runs, comparison.protocol_labels)
    alike = [run for run, label in labelled if label == comparison.deciding_label]
    scored = [(run.get_score("best", comparison.monitor), run) for run in alike]
    pool = [(comparison.sort_sign * score, run) for score, run in scored if score is not None]
    finished = [pair for pair in pool if pair[1].is_finished]
    return min(finished or pool, key=lambda pair: pair[0], default=(0.0, None))[1]


def format_runs_override(folder: Path) -> str:
    """Return `runs=[FOLDER]` as a shell and Hydra read it, in quotes where the path has other characters."""
    if re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII):
        return f"runs=[{folder}]"
    return shlex.quote(f"runs=[{quote_text(str(folder), Quote.double)}]")
