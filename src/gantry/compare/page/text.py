"""The parts of the page that are text: the best run, remarks, protocols, settings that follow from others."""

from collections.abc import Iterable, Sequence
from html import escape

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import format_cell
from gantry.compare.page.page_data import format_command

MAX_UNFOLDED_REMARKS = 4


def format_count(count: int, noun: str) -> str:
    """Return `1 run` or `2 runs`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def render_best_run(comparison: Comparison) -> str:
    """Return folder and command of the best run of the best setting; "" without a ranking."""
    if not comparison.ranking:
        return ""
    scores = [(run, run.get_score("best", comparison.monitor)) for run in comparison.ranking[0].scored_runs]
    run, _ = min(scores, key=lambda pair: comparison.sort_sign * (pair[1] or 0.0))
    seed = f" (seed {run.seed})" if len(scores) > 1 else ""
    command = format_command(run)
    code = f"<code>{escape(command)}</code>" if command else ""
    return f'<p class="quiet origin">best run{escape(seed)}: <code>{escape(str(run.folder))}</code> {code}</p>'


def render_remarks(lines: Sequence[str], noun: str) -> str:
    """Return lines as HTML, "" without any; many lines are collapsed."""
    if not lines:
        return ""
    count = format_count(len(lines), noun) if noun == "remark" else f"{len(lines)} {noun}"
    unfolded = " open" * (len(lines) <= MAX_UNFOLDED_REMARKS)
    first, rest = escape(lines[0]), render_list(lines[1:])
    return f'<details class="remarks"{unfolded}><summary>{count}: {first}</summary>{rest}</details>'


def render_list(lines: Iterable[str], kind: str = "") -> str:
    """Return lines as an HTML list."""
    return f'<ul class="{kind}">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def render_dependent_columns(comparison: Comparison) -> str:
    """Return the keys that differ because of others: a row for each, a column for each setting."""
    if not comparison.dependent_columns:
        return ""
    firsts = [comparison.runs.index(group.runs[0]) for group in comparison.groups]
    head = "".join(f"<th>{escape(group.label)}</th>" for group in comparison.groups)
    rows = [
        f"<tr><td>{escape(key)}</td>{''.join(f'<td>{escape(format_cell(values[i]))}</td>' for i in firsts)}</tr>"
        for key, values in comparison.dependent_columns.items()
    ]
    table = f'<div class="scroll"><table class="differences"><tr><th>key</th>{head}</tr>{"".join(rows)}</table></div>'
    return f"<details><summary>{len(rows)} more keys that differ with these settings</summary>{table}</details>"
