"""Group runs that differ only in the seed, average their scores, and rank the groups."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from gantry.compare.config_diff import MISSING_VALUE, ValueTable, format_cell, is_determined
from gantry.compare.protocols import compare_entry_protocols, find_run_differences
from gantry.compare.run_record import BEST_AND_LAST, RunRecord
from gantry.compare.score_columns import get_metric

MAX_LABEL_SETTINGS = 4
MAX_VALUE_LENGTH = 40  # characters
LABEL_KEYS = ("model", "loss")
MeanByValue = Mapping[str, float]  # value of a setting -> mean of the score


@dataclass(frozen=True)
class Interval:
    """The 95 % interval `mean` +- `half` of a mean over `n` training seeds (Student's t); half is None for one seed."""

    mean: float
    half: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + ("" if self.half is None else f" ± {self.half:.2g}")


@dataclass(frozen=True)
class RunGroup:
    """Runs with the same `values` of the columns and the same protocol.

    `label` has only those values that tell the groups apart. `intervals` (best/fd_digits, ...) are over `scored_runs`.
    """

    label: str
    values: tuple[str, ...]
    protocol_label: str
    runs: tuple[RunRecord, ...]
    intervals: Mapping[str, Interval]

    @property
    def is_finished(self) -> bool:
        """Return True if the scores are those of finished runs."""
        return any(run.is_finished for run in self.runs)

    @property
    def scored_runs(self) -> list[RunRecord]:
        """Return the runs that the intervals are over."""
        return select_scored_runs(self.runs)

    @property
    def status(self) -> str:
        """Return `finished`, or how many runs are."""
        count = sum(run.is_finished for run in self.runs)
        return "finished" if count == len(self.runs) else f"{count} of {len(self.runs)} finished"


def group_runs(runs: Sequence[RunRecord], columns: ValueTable, labels: Sequence[str]) -> list[RunGroup]:
    """Return the groups in the order of their first runs; a run without scores joins the first group of its values."""
    rows = [tuple(format_cell(values[i]) for values in columns.values()) for i in range(len(runs))]
    first_labels = {row: label for row, label in zip(reversed(rows), reversed(labels)) if label}
    members: dict[tuple[tuple[str, ...], str], list[RunRecord]] = {}
    for run, row, label in zip(runs, rows, labels):
        members.setdefault((row, label or first_labels.get(row, "")), []).append(run)
    independent = find_independent_columns(columns)
    common = {key: most_common(values) for key, values in columns.items()}
    return [
        RunGroup(format_group_label(common, row, independent), row, label, tuple(group), compute_intervals(group))
        for (row, label), group in members.items()
    ]


def find_independent_columns(columns: ValueTable) -> set[str]:
    """Return the columns that are not determined by earlier ones."""
    independent: ValueTable = {}
    for key, values in columns.items():
        if not is_determined(values, independent):
            independent[key] = values
    return set(independent)


def format_group_label(common: Mapping[str, str], values: Iterable[str], independent: set[str]) -> str:
    """Return `model=dcgan loss=hinge`.

    Of more than MAX_LABEL_SETTINGS keys it has model, loss and those whose values are not the `common` ones of all.
    """
    pairs = {key: value for key, value in zip(common, values) if key in independent}
    if len(pairs) > MAX_LABEL_SETTINGS:
        pairs = {key: value for key, value in pairs.items() if key in LABEL_KEYS or value != common[key]}
    pairs = {key: value for key, value in pairs.items() if value != MISSING_VALUE}
    text = " ".join(f"{key}={clip_value(value)}" for key, value in list(pairs.items())[:MAX_LABEL_SETTINGS])
    hidden = len(pairs) - MAX_LABEL_SETTINGS
    return (f"{text} and {hidden} more" if hidden > 0 else text) or "all runs"


def clip_value(value: str) -> str:
    """Return a value with the end of a long text cut off."""
    return value if len(value) <= MAX_VALUE_LENGTH else f"{value[: MAX_VALUE_LENGTH - 3]}..."


def most_common(values: Iterable[Any]) -> str:
    """Return the most common value as the text of a cell."""
    return Counter(map(format_cell, values)).most_common(1)[0][0]


def select_scored_runs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the finished runs, or all if none is finished; the last run of each seed."""
    pool = [run for run in runs if run.is_finished] or runs
    return list({run.seed: run for run in pool}.values())


def compute_intervals(runs: Sequence[RunRecord]) -> dict[str, Interval]:
    """Return the intervals over seeds, under `best/fd_digits` and so on, of the scores that all scored runs have.

    A run that has a score in another column does not count for this one.
    """
    scored = select_scored_runs(runs)
    intervals = {}
    for which, name in [(which, name) for which in BEST_AND_LAST for name in list_score_names(scored)]:
        measured_so = [run for run in scored if not has_score_elsewhere(run, which, name)]
        values = [value for value in (run.get_score(which, name) for run in measured_so) if value is not None]
        if values and len(values) == len(measured_so):
            intervals[f"{which}/{name}"] = confidence_interval(values)
    return intervals


def has_score_elsewhere(run: RunRecord, which: str, column: str) -> bool:
    """Return True if a run has the score of a column in another column, measured with other settings."""
    columns = run.entries.get(which, {}).get("scores", {})
    return column not in columns and get_metric(column) in map(get_metric, columns)


def confidence_interval(values: Sequence[float]) -> Interval:
    """Return the interval of independent values, one for each seed."""
    n, mean = len(values), fmean(values)
    if n < 2:
        return Interval(mean, None, n)
    from scipy.stats import t

    return Interval(mean, float(t.ppf(0.975, n - 1)) * stdev(values) / n**0.5, n)


def list_score_names(runs: Iterable[RunRecord]) -> list[str]:
    """Return the names of all scores, without standard deviations."""
    names = dict.fromkeys(name for run in runs for entry in run.entries.values() for name in entry["scores"])
    return [name for name in names if not (name.endswith("_std") and name.removesuffix("_std") in names)]


def describe_excluded_runs(group: RunGroup, others: Iterable[RunGroup]) -> list[str]:
    """Return a line for each run of the same settings that was measured differently from the group, with the reason."""
    runs = [run for other in others for run in other.scored_runs]
    pairs = [(which, run) for which in BEST_AND_LAST for run in runs if which in run.entries]
    reasons = [explain_exclusion(group.scored_runs, run, which) for which, run in pairs]
    return [
        f"seed {run.seed} is left out of {which}, measured otherwise: {reason}"
        for (which, run), reason in zip(pairs, reasons)
    ]


def explain_exclusion(runs: Sequence[RunRecord], excluded: RunRecord, which: str) -> str:
    """Return the differences in the protocol of one checkpoint or, if there are none, in those of both."""
    differences = compare_entry_protocols(runs[0], excluded, which) if which in runs[0].entries else []
    return "; ".join(differences or find_run_differences(runs, excluded))


def rank_groups(groups: Iterable[RunGroup], score: str, sign: int) -> list[RunGroup]:
    """Return the groups that have the score, best first; `sign` is 1 if lower is better, else -1."""
    scored = [group for group in groups if f"best/{score}" in group.intervals]
    return sorted(scored, key=lambda group: sign * group.intervals[f"best/{score}"].mean)


def compute_effects(
    groups: Sequence[RunGroup], columns: Sequence[str], score: str
) -> dict[str, tuple[MeanByValue, int]]:
    """Return key -> (mean of the score for each value, number of matched settings), strongest first.

    A matched setting is one of the other keys that was run with every value of this key, so that no value gets credit
    for what changed along with it. A key without any is left out; keys that only ever changed together count as one.
    """
    means = [group.intervals[f"best/{score}"].mean for group in groups]
    names, table = merge_equivalent_columns(groups, columns)
    effects = {}
    for i, key in enumerate(names):
        values = list(dict.fromkeys(row[i] for row in table))
        by_rest: dict[tuple[str, ...], dict[str, float]] = {}
        for row, mean in zip(table, means):
            by_rest.setdefault(row[:i] + row[i + 1 :], {})[row[i]] = mean
        matched = [scores for scores in by_rest.values() if len(scores) == len(values)]
        if matched:
            mean_by_value = {value: sum(scores[value] for scores in matched) / len(matched) for value in values}
            effects[key] = mean_by_value, len(matched)
    return dict(sorted(effects.items(), key=lambda item: -effect_range(item[1][0])))


def merge_equivalent_columns(
    groups: Sequence[RunGroup], columns: Sequence[str]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return names and rows of the columns that differ between groups; columns that split them alike become one."""
    equivalent: dict[tuple[int, ...], list[int]] = {}
    for i in range(len(columns)):
        values = [group.values[i] for group in groups]
        if len(set(values)) > 1:
            equivalent.setdefault(tuple(values.index(value) for value in values), []).append(i)
    names = [", ".join(columns[i] for i in indices) for indices in equivalent.values()]
    rows = [tuple(", ".join(group.values[i] for i in indices) for indices in equivalent.values()) for group in groups]
    return names, rows


def effect_range(means: MeanByValue) -> float:
    """Return the distance between the best and the worst mean of a setting."""
    return max(means.values()) - min(means.values())
