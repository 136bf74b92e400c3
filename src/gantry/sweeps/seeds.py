"""What the jobs of a sweep that differ in nothing but the seed say together: a mean and how far it can be trusted."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.compare.interval import Interval, confidence_interval
from gantry.evaluation.protocol import find_protocol_differences
from gantry.files import write_text
from gantry.runs.folder import read_config
from gantry.runs.layout import CONFIG_FILE, SEEDS_JSON, SEEDS_MARKDOWN
from gantry.runs.summary import read_summary


@dataclass(frozen=True)
class SeedRun:
    """A finished job: `what` it was told beside the seed, and `places` (best, last) of the report or, without, of the
    evaluation while it trained."""

    overrides: tuple[str, ...]
    seed: int
    entries: Mapping[str, Mapping[str, Any]]


def read_seed_runs(sweep: Path) -> list[SeedRun]:
    """The finished jobs in the folder of a sweep, in the order of their numbers."""
    folders = [path.parent for path in sweep.glob(f"*/{CONFIG_FILE}")]
    folders.sort(key=lambda folder: (not folder.name.isdigit(), folder.name.zfill(9)))
    jobs = []
    for folder in folders:
        cfg, summary = read_config(folder), read_summary(folder)
        if summary.get("turns") == cfg.turns:  # an interrupted run has done fewer
            places = summary.get("report", summary)
            what = tuple(sorted(word for word in cfg.run.overrides if word.partition("=")[0] != "seed"))
            jobs.append(SeedRun(what, cfg.seed, {name: places[name] for name in ("best", "last") if name in places}))
    return jobs


def summarize_seeds(jobs: Iterable[SeedRun]) -> list[dict[str, Any]]:
    """A row for each set of jobs that differ in the seed alone, each seed once: what, seeds and, by place, intervals.

    Jobs whose numbers were measured otherwise than those of the first are left out; `left_out` says which and why.
    """
    groups: dict[tuple[str, ...], dict[int, SeedRun]] = {}
    for job in jobs:
        groups.setdefault(job.overrides, {})[job.seed] = job
    rows = []
    for what, group in groups.items():
        places, left_out = compute_seed_intervals(list(group.values()))
        rows.append({"what": list(what), "seeds": sorted(group), "places": places, "left_out": left_out})
    return rows


def compute_seed_intervals(group: list[SeedRun]) -> tuple[dict[str, dict[str, Interval]], list[str]]:
    """Intervals of all scores, for best and last; and a line for each job measured otherwise than the first."""
    places, left_out = {}, []
    for place, first in group[0].entries.items():
        alike = []
        for job in (job for job in group if place in job.entries):
            if unlike := find_protocol_differences(first["protocol"], job.entries[place]["protocol"]):
                left_out.append(f"seed {job.seed} is left out of {place}, measured otherwise: {'; '.join(unlike)}")
            else:
                alike.append(job.entries[place]["scores"])
        names = [name for name in first["scores"] if all(scores.get(name) is not None for scores in alike)]
        places[place] = {name: confidence_interval([scores[name] for scores in alike]) for name in names}
    return places, left_out


def write_seeds_table(sweep: Path) -> str | None:
    """Write seeds.json and seeds.md into the folder of a sweep; -> the table, None if no seed was repeated."""
    rows = [row for row in summarize_seeds(read_seed_runs(sweep)) if len(row["seeds"]) > 1]
    if not rows:
        return None
    write_text(sweep / SEEDS_JSON, json.dumps(rows, indent=2, default=vars) + "\n")
    write_text(sweep / SEEDS_MARKDOWN, text := format_seeds_table(rows))
    return text


def format_seeds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line for each group and score, mean ± half of the 95 % interval over the seeds, and what is left out.

    The column "seeds" counts those in the mean: two numbers where best and last have not the same.
    """
    lines = ["| jobs | seeds | score | best | last |", "|---|---|---|---|---|"]
    for row in rows:
        places = row["places"]
        names = dict.fromkeys(name for scores in places.values() for name in scores)
        for name in names:
            best, last = (places.get(place, {}).get(name, "") for place in ("best", "last"))
            count = " / ".join(dict.fromkeys(str(mean.n) for mean in (best, last) if mean))
            lines.append(f"| {format_overrides(row)} | {count} | {name} | {best} | {last} |")
    notes = [f"- {format_overrides(row)}: {note}" for row in rows for note in row["left_out"]]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def format_overrides(row: Mapping[str, Any]) -> str:
    """What the jobs of a row were told."""
    return " ".join(row["what"]) or "default"
