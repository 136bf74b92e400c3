"""Runs that differ in nothing but the seed, taken together, and which of them are best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gantry.compare.config_diff import ValueTable, format_cell, is_determined
from gantry.compare.interval import Interval, confidence_interval
from gantry.compare.run_record import BEST_AND_LAST, RunRecord

MeanByValue = Mapping[str, float]  # value of a setting -> mean of the score


@dataclass(frozen=True)
class RunGroup:
    """Runs of the same `values` of the columns, measured alike (`protocol`); `numbers` are of the finished ones.

    The label has no more of the values than it takes to tell the groups apart.
    Without a finished one they are of all. A seed that ran twice counts once, its last run.
    """

    label: str
    values: tuple[str, ...]
    protocol_label: str
    runs: tuple[RunRecord, ...]
    intervals: Mapping[str, Interval]

    @property
    def is_finished(self) -> bool:
        """Whether the numbers are those of finished runs."""
        return any(run.is_finished for run in self.runs)

    @property
    def status(self) -> str:
        """`finished`, or how many are."""
        count = sum(run.is_finished for run in self.runs)
        return "finished" if count == len(self.runs) else f"{count} of {len(self.runs)} finished"


def group_runs(runs: Sequence[RunRecord], columns: ValueTable, letters: Sequence[str]) -> list[RunGroup]:
    """The groups in the order of their first runs; runs without numbers join the group of their values."""
    rows = [tuple(format_cell(values[i]) for values in columns.values()) for i in range(len(runs))]
    known = {row: mark for row, mark in zip(reversed(rows), reversed(letters)) if mark}
    members: dict[tuple[tuple[str, ...], str], list[RunRecord]] = {}
    for run, row, mark in zip(runs, rows, letters):
        members.setdefault((row, mark or known.get(row, "")), []).append(run)
    kept = find_independent_columns(columns)
    return [
        RunGroup(format_group_label(columns, row, kept), row, mark, tuple(r), compute_intervals(r))
        for (row, mark), r in members.items()
    ]


def find_independent_columns(columns: ValueTable) -> set[str]:
    """The columns that are not determined by those before them."""
    kept: ValueTable = {}
    for key, values in columns.items():
        if not is_determined(values, kept):
            kept[key] = values
    return set(kept)


def format_group_label(columns: Iterable[str], values: Iterable[str], kept: set[str]) -> str:
    """`model=dcgan loss=hinge`."""
    return " ".join(f"{key}={value}" for key, value in zip(columns, values) if key in kept) or "all runs"


def compute_intervals(runs: Sequence[RunRecord]) -> dict[str, Interval]:
    """`best/fd_digits` and so on: means over seeds of the scores that all have."""
    judged = {run.seed: run for run in [run for run in runs if run.is_finished] or runs}.values()
    found = {}
    for place, name in [(place, name) for place in BEST_AND_LAST for name in list_score_names(judged)]:
        values = [value for value in (run.get_score(place, name) for run in judged) if value is not None]
        if values and len(values) == len(judged):
            found[f"{place}/{name}"] = confidence_interval(values)
    return found


def list_score_names(runs: Iterable[RunRecord]) -> list[str]:
    """The names of the scores of some run, without their standard deviations."""
    names = dict.fromkeys(name for run in runs for entry in run.entries.values() for name in entry["scores"])
    return [name for name in names if not (name.endswith("_std") and name.removesuffix("_std") in names)]


def rank_groups(groups: Iterable[RunGroup], score: str, sign: int) -> list[RunGroup]:
    """The groups that have the score, best first; `sign` is 1 where less is better, else -1."""
    having = [one for one in groups if f"best/{score}" in one.intervals]
    return sorted(having, key=lambda one: sign * one.intervals[f"best/{score}"].mean)


def compute_effects(
    groups: Sequence[RunGroup], columns: Sequence[str], score: str
) -> dict[str, tuple[MeanByValue, int]]:
    """Key -> (mean of the score for each value, number of settings), strongest first.

    Only settings of the other keys that were tried with every value count, so that a value is not credited with what
    came along with it. A key without such settings is left out; keys that only ever changed together are taken as one.
    """
    means = [one.intervals[f"best/{score}"].mean for one in groups]
    names, table = merge_equivalent_columns(groups, columns)
    found = {}
    for i, key in enumerate(names):
        values = list(dict.fromkeys(row[i] for row in table))
        rest: dict[tuple[str, ...], dict[str, float]] = {}
        for row, mean in zip(table, means):
            rest.setdefault(row[:i] + row[i + 1 :], {})[row[i]] = mean
        whole = [one for one in rest.values() if len(one) == len(values)]
        if whole:
            found[key] = {value: sum(one[value] for one in whole) / len(whole) for value in values}, len(whole)
    return dict(sorted(found.items(), key=lambda item: -effect_range(item[1][0])))


def merge_equivalent_columns(
    groups: Sequence[RunGroup], columns: Sequence[str]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names and rows of the columns that differ between the groups; those that split them alike are one column."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for i in range(len(columns)):
        values = [one.values[i] for one in groups]
        if len(set(values)) > 1:
            alike.setdefault(tuple(values.index(value) for value in values), []).append(i)
    names = [", ".join(columns[i] for i in which) for which in alike.values()]
    return names, [tuple(", ".join(one.values[i] for i in which) for which in alike.values()) for one in groups]


def effect_range(means: MeanByValue) -> float:
    """How far the values of a setting lie apart."""
    return max(means.values()) - min(means.values())
