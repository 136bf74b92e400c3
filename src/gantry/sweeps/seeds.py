"""Write seeds.md and seeds.json of a sweep: mean and 95 % interval of each score over training seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.compare.comparison import Comparison
from gantry.compare.groups import Interval, RunGroup, describe_excluded_runs
from gantry.compare.markdown import format_table_header, format_table_row
from gantry.compare.run_record import BEST_AND_LAST
from gantry.files import write_text
from gantry.runs.layout import SEEDS_JSON, SEEDS_MARKDOWN


@dataclass(frozen=True)
class SeedSummary:
    """The finished jobs of one setting: their overrides without the seed, all seeds, and intervals for best and last.

    `left_out` has a line for each job that was measured otherwise than the first one, and so is in no interval.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: Mapping[str, Mapping[str, Interval]]
    left_out: tuple[str, ...]


def write_seeds_table(comparison: Comparison, sweep: Path) -> str | None:
    """Write seeds.json and seeds.md, or nothing if no setting has several seeds; return a table that says something."""
    rows = [row for row in summarize_seeds(comparison) if len(row.seeds) > 1]
    if not rows:
        return None
    table = format_seeds_table(rows)
    write_text(sweep / SEEDS_JSON, json.dumps(rows, indent=2, default=vars) + "\n")
    write_text(sweep / SEEDS_MARKDOWN, table)
    return table if any(row.left_out or any(row.scores.values()) for row in rows) else None


def summarize_seeds(comparison: Comparison) -> list[SeedSummary]:
    """Return a summary of each setting that has finished jobs with scores."""
    by_setting: dict[tuple[str, ...], list[RunGroup]] = {}
    for group in comparison.groups:
        if group.is_finished and group.protocol_label:
            by_setting.setdefault(group.values, []).append(group)
    return [summarize_setting(groups) for groups in by_setting.values()]


def summarize_setting(groups: Sequence[RunGroup]) -> SeedSummary:
    """Summarize the groups of one setting, one for each protocol: the first one has the means."""
    first, *others = groups
    runs = [run for group in groups for run in group.scored_runs]
    overrides = sorted(item for item in runs[0].overrides if item.partition("=")[0] != "seed")
    scores: dict[str, dict[str, Interval]] = {
        which: {} for which in BEST_AND_LAST if any(which in run.entries for run in first.scored_runs)
    }
    for key, interval in first.intervals.items():
        which, _, name = key.partition("/")
        scores[which][name] = interval
    seeds = sorted({run.seed for run in runs})
    return SeedSummary(tuple(overrides), tuple(seeds), scores, tuple(describe_excluded_runs(first, others)))


def format_seeds_table(rows: Sequence[SeedSummary]) -> str:
    """Return a Markdown table of mean ± half of the 95 % interval for each setting and score, and the jobs left out.

    The column "seeds" counts those in the mean: `2 / 3` if best and last have different numbers of them.
    """
    lines = format_table_header(["jobs", "seeds", "score", "best", "last"])
    for row in rows:
        for name in dict.fromkeys(name for intervals in row.scores.values() for name in intervals):
            intervals = [row.scores.get(which, {}).get(name) for which in BEST_AND_LAST]
            count = " / ".join(dict.fromkeys(str(interval.n) for interval in intervals if interval))
            cells = ["" if interval is None else str(interval) for interval in intervals]
            lines.append(format_table_row([format_overrides(row), count, name, *cells]))
    notes = [f"- {format_overrides(row)}: {line}" for row in rows for line in row.left_out]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def format_overrides(row: SeedSummary) -> str:
    """Return the overrides of a setting; `default` if there are none."""
    return " ".join(row.overrides) or "default"
