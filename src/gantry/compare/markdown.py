"""A comparison as Markdown."""

from collections.abc import Sequence

from gantry.compare.comparison import Comparison, format_verdict, list_remarks
from gantry.compare.groups import RunGroup
from gantry.compare.protocols import format_protocol_legend
from gantry.compare.run_record import BEST_AND_LAST


def format_comparison(comparison: Comparison) -> str:
    """What is best, a table of all settings, what they change, and what must be known beside it."""
    order = [*comparison.ranking, *(one for one in comparison.groups if one not in comparison.ranking)]
    lines = [format_verdict(comparison), "", *format_groups_table(comparison, order)]
    for key, (means, count) in comparison.effects.items():
        said = ", ".join(f"{value} {mean:.4g}" for value, mean in means.items())
        lines += ["", f"{key} (mean best {comparison.monitor} over {count} matched settings): {said}"]
    how = format_protocol_legend(comparison.runs, comparison.protocol_labels)
    notes = [line for line in list_remarks(comparison) if line not in how]
    return "\n".join([*lines, "", "Measured by:", "", *(f"- {line}" for line in how), *format_remarks(notes)]) + "\n"


def format_groups_table(comparison: Comparison, groups: Sequence[RunGroup]) -> list[str]:
    """A row for each setting: its values, seeds, numbers and what has become of its runs."""
    keys = [f"{place}/{name}" for name in comparison.score_names for place in BEST_AND_LAST]
    head = ["#", *comparison.columns, "seeds", *keys, "protocol", "status"]
    lines = format_table_header(head)
    for i, one in enumerate(groups):
        rank = str(i + 1) if one in comparison.ranking else ""
        numbers = [str(one.intervals.get(key, "")) for key in keys]
        seeds = ", ".join(sorted({str(run.seed) for run in one.runs}))
        lines.append(format_table_row([rank, *one.values, seeds, *numbers, one.protocol_label, one.status]))
    return lines


def format_table_header(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [format_table_row(cells), "|".join(["", *["---"] * len(cells), ""])]


def format_table_row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def format_remarks(lines: Sequence[str]) -> list[str]:
    """A list below a heading; nothing for none."""
    return ["", "Remarks:", "", *(f"- {line}" for line in lines)] if lines else []
