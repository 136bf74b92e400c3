"""Format a comparison as Markdown."""

from collections.abc import Sequence

from gantry.compare.comparison import Comparison, format_verdict, list_remarks
from gantry.compare.data_sets import DataSetComparison
from gantry.compare.groups import RunGroup
from gantry.compare.run_record import BEST_AND_LAST


def format_data_sets(comparison: DataSetComparison) -> str:
    """Return the comparison of each data set, under its name if there are several, and the folders left out."""
    sections = [
        f"## {name}\n\n{format_comparison(section)}" if len(comparison.by_data_set) > 1 else format_comparison(section)
        for name, section in comparison.by_data_set.items()
    ]
    unreadable = "\n".join(["Left out:", "", *(f"- {line}" for line in comparison.unreadable), ""])
    return "\n".join([*sections, *([unreadable] if comparison.unreadable else [])])


def format_comparison(comparison: Comparison) -> str:
    """Return the verdict, a table of all settings, the effects of the settings, the protocols and the remarks."""
    lines = [format_verdict(comparison), "", *format_groups_table(comparison, comparison.ranked_first)]
    for key, (means, count) in comparison.effects.items():
        values = ", ".join(f"{value} {mean:.4g}" for value, mean in means.items())
        lines += ["", f"{key} (mean best {comparison.monitor} over {count} matched settings): {values}"]
    remarks = format_remarks(list_remarks(comparison, with_legend=False))
    lines += ["", "Measured by:", "", *(f"- {line}" for line in comparison.legend), *remarks]
    return "\n".join(lines) + "\n"


def format_groups_table(comparison: Comparison, groups: Sequence[RunGroup]) -> list[str]:
    """Return a table with a row for each setting: values, seeds, scores, protocol and status."""
    keys = [f"{which}/{name}" for name in comparison.score_names for which in BEST_AND_LAST]
    lines = format_table_header(["#", *comparison.columns, "seeds", *keys, "protocol", "status"])
    for i, group in enumerate(groups):
        rank = str(i + 1) if group in comparison.ranking else ""
        scores = [str(group.intervals.get(key, "")) for key in keys]
        seeds = ", ".join(sorted({str(run.seed) for run in group.runs}))
        lines.append(format_table_row([rank, *group.values, seeds, *scores, group.protocol_label, group.status]))
    return lines


def format_table_header(cells: Sequence[str]) -> list[str]:
    """Return the first two lines of a table."""
    return [format_table_row(cells), "|".join(["", *["---"] * len(cells), ""])]


def format_table_row(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def format_remarks(lines: Sequence[str]) -> list[str]:
    """Return a list of remarks under a heading; empty if there are none."""
    return ["", "Remarks:", "", *(f"- {line}" for line in lines)] if lines else []
