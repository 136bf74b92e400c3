"""Give numbers of one name a column for each of the settings of their score that they were measured with."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gantry.compare.protocols import clip_line
from gantry.compare.run_record import BEST_AND_LAST, RunRecord
from gantry.evaluation.score_settings import find_score_differences

Protocol = Mapping[str, Any]


@dataclass
class ScoreColumns:
    """The protocols that differ in the settings of a score, by the name of its number, in the order of their arrival.

    The first has the column `kid`, the second `kid (2)`.
    """

    protocols: dict[str, list[Protocol]] = field(default_factory=dict)

    def add(self, metric: str, protocol: Protocol) -> int:
        """Return the number of the column of a metric, from 0 on."""
        known = self.protocols.setdefault(metric, [])
        for column, other in enumerate(known):
            if not find_setting_differences(other, protocol, metric):
                return column
        known.append(protocol)
        return len(known) - 1

    def rename(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of a run with the names of columns in place of those of metrics."""
        protocol = entry["protocol"]
        return {**entry, "scores": {name_column(m, self.add(m, protocol)): v for m, v in entry["scores"].items()}}

    def explain(self) -> list[str]:
        """Return a line for the columns beside the first ones: which settings they were measured with."""
        names: dict[str, list[str]] = {}
        for metric, (first, *others) in self.protocols.items():
            for i, protocol in enumerate(others, 1):
                differences = "; ".join(map(clip_line, find_setting_differences(first, protocol, metric)))
                names.setdefault(differences, []).append(name_column(metric, i))
        return [f"{', '.join(columns)}: other settings, {text}" for text, columns in names.items()]


def find_setting_differences(a: Protocol, b: Protocol, metric: str) -> list[str]:
    """Return the differences between the settings of the score that a number is of; other facts do not count."""
    if a.get("scores") == b.get("scores"):
        return []
    return find_score_differences(a, {**a, "scores": b.get("scores", {})}, metric)


def name_column(metric: str, column: int) -> str:
    """Return `kid (2)` for the second column of `kid`, and `kid (2)_std` for its deviation."""
    if column == 0:
        return metric
    stem = metric.removesuffix("_std")
    return f"{stem} ({column + 1}){metric.removeprefix(stem)}"


def get_metric(column: str) -> str:
    """Return the metric of a column: `kid` of `kid (2)`."""
    return re.sub(r" \(\d+\)(?=(_std)?$)", "", column)


def find_deciding_run(runs: Sequence[RunRecord], labels: Sequence[str]) -> int | None:
    """Return the index of a run whose protocol and monitored score are those of most runs, finished ones if any."""
    columns, protocols = ScoreColumns(), dict[int, tuple[str, int]]()
    for i, run in enumerate(runs):
        entry = next((run.entries[which] for which in BEST_AND_LAST if which in run.entries), None)
        if entry is not None and run.monitor:
            protocols[i] = labels[i], columns.add(str(run.monitor), entry["protocol"])
    pool = [i for i in protocols if runs[i].is_finished] or list(protocols)
    counts = Counter(protocols[i] for i in pool)
    return max(pool, key=lambda i: counts[protocols[i]], default=None)


def separate_score_columns(runs: Sequence[RunRecord], first: int | None) -> tuple[list[RunRecord], list[str]]:
    """Return the runs with scores by column, and the lines that explain the columns.

    The columns without a number are those of the run with the index `first`.
    """
    columns = ScoreColumns()
    for entry in runs[first].entries.values() if first is not None else ():
        columns.rename(entry)
    return [rename_scores(run, columns) for run in runs], columns.explain()


def rename_scores(run: RunRecord, columns: ScoreColumns) -> RunRecord:
    """Return a run with scores by column; those that selected its checkpoint have the names of the best ones."""
    entries = {which: columns.rename(entry) for which, entry in run.entries.items()}
    names: dict[str, str] = {}
    for which in reversed(entries):
        names |= zip(run.entries[which]["scores"], entries[which]["scores"])
    selection_scores = {names.get(metric, metric): value for metric, value in run.selection_scores.items()}
    return replace(run, entries=entries, selection_scores=selection_scores)
