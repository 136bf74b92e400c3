"""A comparison as Markdown."""

from collections.abc import Sequence

from gantry.compare.comparison import Comparison, remarks, verdict
from gantry.compare.groups import Group
from gantry.compare.protocols import explained
from gantry.compare.run_record import PLACES


def markdown(comparison: Comparison) -> str:
    """What is best, a table of all settings, what they change, and what must be known beside it."""
    order = [*comparison.ranking, *(one for one in comparison.groups if one not in comparison.ranking)]
    lines = [verdict(comparison), "", *table(comparison, order)]
    for key, (means, count) in comparison.reasons.items():
        said = ", ".join(f"{value} {mean:.4g}" for value, mean in means.items())
        lines += ["", f"{key} (mean best {comparison.score} over {count} matched settings): {said}"]
    how = explained(comparison.runs, comparison.letters)
    notes = [line for line in remarks(comparison) if line not in how]
    return "\n".join([*lines, "", "Measured by:", "", *(f"- {line}" for line in how), *bullets(notes)]) + "\n"


def table(comparison: Comparison, groups: Sequence[Group]) -> list[str]:
    """A row for each setting: its values, seeds, numbers and what has become of its runs."""
    keys = [f"{place}/{name}" for name in comparison.scores for place in PLACES]
    head = ["#", *comparison.columns, "seeds", *keys, "protocol", "status"]
    lines = heading(head)
    for i, one in enumerate(groups):
        rank = str(i + 1) if one in comparison.ranking else ""
        numbers = [str(one.numbers.get(key, "")) for key in keys]
        seeds = ", ".join(sorted({str(run.seed) for run in one.runs}))
        lines.append(row([rank, *one.values, seeds, *numbers, one.protocol, one.status]))
    return lines


def heading(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(cells), "|".join(["", *["---"] * len(cells), ""])]


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def bullets(lines: Sequence[str]) -> list[str]:
    """A list below a heading; nothing for none."""
    return ["", "Remarks:", "", *(f"- {line}" for line in lines)] if lines else []
