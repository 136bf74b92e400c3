"""All that a page or a table says of a set of runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gantry.compare.config_diff import ValueTable, format_cell, split_settings
from gantry.compare.groups import MeanByValue, RunGroup, compute_effects, group_runs, list_score_names, rank_groups
from gantry.compare.interval import Interval
from gantry.compare.protocols import format_protocol_legend, label_protocols, list_selection_rules
from gantry.compare.run_record import RunRecord
from gantry.runs.status import RunStatus


@dataclass(frozen=True)
class Comparison:
    """Runs, what differs between them (`columns`; `follows` from these) and what they reach."""

    runs: tuple[RunRecord, ...]
    protocol_labels: tuple[str, ...]
    columns: ValueTable
    dependent_columns: ValueTable
    groups: tuple[RunGroup, ...]
    unreadable: tuple[str, ...] = ()

    @cached_property
    def deciding_run(self) -> RunRecord | None:
        """A run of those measured alike that are most: its protocol and its monitored score decide what is best."""
        able = [(run, mark) for run, mark in zip(self.runs, self.protocol_labels) if run.entries and run.monitor]
        pool = [pair for pair in able if pair[0].is_finished] or able
        counts = Counter(mark for _, mark in pool)
        return max(pool, key=lambda pair: counts[pair[1]])[0] if pool else None

    @property
    def monitor(self) -> str:
        """The score that decides; "" if there is none."""
        return (self.deciding_run.monitor or "") if self.deciding_run else ""

    @property
    def sort_sign(self) -> int:
        """1 where less is better, else -1."""
        return -1 if self.deciding_run and self.deciding_run.config.get("metrics.mode") == "max" else 1

    @cached_property
    def ranking(self) -> list[RunGroup]:
        """The groups that may be compared with one another, best first."""
        if self.deciding_run is None:
            return []
        mark = self.protocol_labels[self.runs.index(self.deciding_run)]
        alike = [one for one in self.groups if one.protocol_label == mark]
        return rank_groups([one for one in alike if one.is_finished] or alike, self.monitor, self.sort_sign)

    @cached_property
    def effects(self) -> dict[str, tuple[MeanByValue, int]]:
        """What each setting changes, strongest first."""
        return compute_effects(self.ranking, list(self.columns), self.monitor)

    @property
    def score_names(self) -> list[str]:
        """All scores, the deciding one first."""
        names = list_score_names(self.runs)
        return sorted(names, key=lambda name: name != self.monitor)


def compare_runs(runs: Sequence[RunRecord], broken: Sequence[str] = ()) -> Comparison:
    """Put runs side by side."""
    columns, follows = split_settings([run for run in runs if run.config])
    if any(not run.config for run in runs):  # jobs that never began have no values
        columns, follows = (fill_missing_runs(table, runs) for table in (columns, follows))
    letters = label_protocols(runs)
    return Comparison(
        tuple(runs), tuple(letters), columns, follows, tuple(group_runs(runs, columns, letters)), tuple(broken)
    )


def fill_missing_runs(table: ValueTable, runs: Sequence[RunRecord]) -> ValueTable:
    """A table over runs with configurations as one over all; what the others were told stands in for it."""
    spread_out: ValueTable = {}
    for key, values in table.items():
        there = iter(values)
        spread_out[key] = [next(there) if run.config else get_override_value(run, key) for run in runs]
    return spread_out


def get_override_value(run: RunRecord, key: str) -> str:
    """What a run was told of a key."""
    return next((value for name, _, value in (word.partition("=") for word in run.overrides) if name == key), "?")


def format_verdict(comparison: Comparison) -> str:
    """Which is best, by how much, and whether the seeds bear it out: one or two plain sentences."""
    if not comparison.ranking:
        return "No run has a score to be judged by yet."
    key, score = f"best/{comparison.monitor}", comparison.monitor
    first, *others = comparison.ranking
    number = first.intervals[key]
    text = f"Best: {first.label} with {score} {number}{format_seed_count(number)}"
    text += "" if first.is_finished else ", so far: no run has finished"
    if not others:
        return f"{text}."
    second = others[0].intervals[key]
    runner_up = f"{others[0].label} with {second}{format_seed_count(second)}"
    return f"{text}. Second: {runner_up}; {format_significance(number, second)}."


def format_seed_count(number: Interval) -> str:
    """Over how many seeds a mean is."""
    return f" (mean of {number.n} seeds, 95 % interval)" if number.half is not None else " (one seed)"


def format_significance(first: Interval, second: Interval) -> str:
    """Whether the first is better than by chance, as far as intervals tell."""
    if first.half is None or second.half is None:
        return "with one seed nothing tells merit from luck"
    far = abs(first.mean - second.mean) > first.half + second.half
    return "their intervals do not overlap" if far else "their intervals overlap, so more seeds must tell them apart"


def list_remarks(comparison: Comparison) -> list[str]:
    """What a reader must know of the runs beside their numbers: a line each."""
    lines = list(comparison.unreadable)
    lines += [f"{run.name} is {run.status}" for run in comparison.runs if run.status.state != RunStatus.FINISHED]
    data = dict.fromkeys(format_cell(run.config.get("data.name")) for run in comparison.runs if run.config)
    if len(data) > 1:
        lines.append(f"the runs are of different data sets ({', '.join(data)}): their numbers cannot be compared")
    how = format_protocol_legend(comparison.runs, comparison.protocol_labels)
    if len(how) > 1:
        lines += ["the numbers were not all measured alike; each row names its protocol", *how]
    ways = list_selection_rules([run for run in comparison.runs if run.is_finished])
    return lines + (["the best checkpoints were not all chosen in one way", *ways] if ways else [])
