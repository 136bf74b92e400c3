"""What the jobs of a sweep that differ in nothing but the seed say together: a mean and how far it can be trusted."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from gantry.metrics.protocol import differences
from gantry.runs.run_folder import read_config, replace
from gantry.runs.summary import read_summary

FILE = "seeds"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interval:
    """`mean` +- `half` is the 95 % interval of the mean over `n` training seeds (Student's t); half is None for one."""

    mean: float
    half: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + ("" if self.half is None else f" ± {self.half:.2g}")


def interval(values: Sequence[float]) -> Interval:
    """Of independent numbers, one a seed."""
    n, mean = len(values), fmean(values)
    if n < 2:
        return Interval(mean, None, n)
    from scipy.stats import t

    return Interval(mean, float(t.ppf(0.975, n - 1)) * stdev(values) / n**0.5, n)


@dataclass(frozen=True)
class Job:
    """A finished job: `what` it was told beside the seed, and `places` (best, last) of the report or, without, of the
    evaluation while it trained."""

    what: tuple[str, ...]
    seed: int
    places: Mapping[str, Mapping[str, Any]]


def read_jobs(sweep: Path) -> list[Job]:
    """The finished jobs in the folder of a sweep, in the order of their numbers."""
    folders = [path.parent for path in sweep.glob("*/config.yaml")]
    folders.sort(key=lambda folder: (not folder.name.isdigit(), folder.name.zfill(9)))
    jobs = []
    for folder in folders:
        cfg, summary = read_config(folder), read_summary(folder)
        if "turns" in summary:  # written at the end
            places = summary.get("report", summary)
            told = tuple(sorted(word for word in cfg.run.overrides if word.partition("=")[0] != "seed"))
            jobs.append(Job(told, cfg.seed, {name: places[name] for name in ("best", "last") if name in places}))
    return jobs


def across_seeds(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """A row for each set of jobs that differ in the seed alone, each seed once: what, seeds and, by place, intervals.

    Jobs whose numbers were measured otherwise than those of the first are left out, with a warning.
    """
    groups: dict[tuple[str, ...], dict[int, Job]] = {}
    for job in jobs:
        groups.setdefault(job.what, {})[job.seed] = job
    return [
        {"what": list(what), "seeds": sorted(group), "places": together(list(group.values()))}
        for what, group in groups.items()
    ]


def together(group: list[Job]) -> dict[str, dict[str, Interval]]:
    """Intervals of all scores, for best and for last."""
    places: dict[str, dict[str, Interval]] = {}
    for place, first in group[0].places.items():
        alike = [job.places[place] for job in group if comparable(first, job.places.get(place), job)]
        names = [name for name in first["scores"] if all(entry["scores"].get(name) is not None for entry in alike)]
        places[place] = {name: interval([entry["scores"][name] for entry in alike]) for name in names}
    return places


def comparable(first: Mapping[str, Any], entry: Mapping[str, Any] | None, job: Job) -> bool:
    """Whether both were measured in the same way; says so if not."""
    if entry is None:
        return False
    unlike = differences(first["protocol"], entry["protocol"])
    if unlike:
        log.warning("seed %d is left out of the mean, measured otherwise: %s", job.seed, "; ".join(unlike))
    return not unlike


def write_seeds(sweep: Path) -> str | None:
    """Write seeds.json and seeds.md into the folder of a sweep; -> the table, None if no seed was repeated."""
    rows = [row for row in across_seeds(read_jobs(sweep)) if len(row["seeds"]) > 1]
    if not rows:
        return None
    plain = [
        row | {"places": {p: {k: vars(v) for k, v in s.items()} for p, s in row["places"].items()}} for row in rows
    ]
    replace(sweep / f"{FILE}.json", json.dumps(plain, indent=2) + "\n")
    replace(sweep / f"{FILE}.md", text := table(rows))
    return text


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line for each group and score, mean ± half of the 95 % interval over the seeds."""
    lines = ["| jobs | seeds | score | best | last |", "|---|---|---|---|---|"]
    for row in rows:
        places = row["places"]
        names = dict.fromkeys(name for scores in places.values() for name in scores)
        for name in names:
            best, last = (places.get(place, {}).get(name, "") for place in ("best", "last"))
            lines.append(f"| {' '.join(row['what']) or 'default'} | {len(row['seeds'])} | {name} | {best} | {last} |")
    return "\n".join(lines) + "\n"


class AfterSweep(Callback):
    """Hydra calls it once all jobs of a sweep are done."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        sweep = Path(config.hydra.sweep.dir)
        said = write_seeds(sweep)
        if said is not None:
            print(f"mean ± half of the 95 % interval over seeds ({sweep / FILE}.md):\n{said}")
