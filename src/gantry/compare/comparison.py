"""Compare runs: settings, protocols, groups over seeds, ranking and remarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gantry.compare.config_diff import ValueTable, is_main_setting, split_settings
from gantry.compare.groups import (
    Interval,
    MeanByValue,
    RunGroup,
    compute_effects,
    group_runs,
    list_score_names,
    rank_groups,
)
from gantry.compare.protocols import format_protocol_legend, label_protocols, list_selection_rules
from gantry.compare.run_record import RunRecord
from gantry.compare.score_columns import find_deciding_run, get_metric, separate_score_columns
from gantry.compare.score_direction import Direction, get_direction
from gantry.runs.status import RunStatus

MAX_MAIN_COLUMNS = 6
MAX_LISTED_RUNS = 3  # of one state that remarks name
UNKNOWN_VALUE = "?"  # of a key that the overrides of a job that never started do not have


@dataclass(frozen=True)
class Comparison:
    """Runs, the settings that differ between them (`columns`, and `dependent_columns` that follow) and their groups.

    The scores of the runs have the names of their columns: `kid (2)` is `kid` with other settings, as `column_notes`
    say. `deciding_run` has the most common protocol, which decides the ranking with its monitored score.
    """

    runs: tuple[RunRecord, ...]
    protocol_labels: tuple[str, ...]
    columns: ValueTable
    dependent_columns: ValueTable
    groups: tuple[RunGroup, ...]
    unreadable: tuple[str, ...] = ()
    deciding_run: RunRecord | None = None
    column_notes: tuple[str, ...] = ()

    @property
    def deciding_label(self) -> str:
        """Return the letter of the protocol that decides the ranking; "" if there is none."""
        return self.protocol_labels[self.runs.index(self.deciding_run)] if self.deciding_run else ""

    @property
    def legend(self) -> list[str]:
        """Return a line for the protocol of each letter, and lines for scores measured with other settings."""
        return [*format_protocol_legend(self.runs, self.protocol_labels), *self.column_notes]

    @property
    def monitor(self) -> str:
        """Return the score that decides the ranking; "" if there is none."""
        return (self.deciding_run.monitor or "") if self.deciding_run else ""

    @property
    def sort_sign(self) -> int:
        """Return 1 if a lower score is better, else -1."""
        return -1 if self.deciding_run and self.deciding_run.config.get("metrics.mode") == "max" else 1

    @cached_property
    def ranking(self) -> list[RunGroup]:
        """Return the groups that are comparable with each other, best first."""
        if self.deciding_run is None:
            return []
        comparable = [group for group in self.groups if group.protocol_label == self.deciding_label]
        finished = [group for group in comparable if group.is_finished]
        return rank_groups(finished or comparable, self.monitor, self.sort_sign)

    @property
    def ranked_first(self) -> list[RunGroup]:
        """Return all groups, those of the ranking first."""
        return [*self.ranking, *(group for group in self.groups if group not in self.ranking)]

    @cached_property
    def effects(self) -> dict[str, tuple[MeanByValue, int]]:
        """Return the effect of each setting on the score, strongest first."""
        return compute_effects(self.ranking, list(self.columns), self.monitor)

    @property
    def score_names(self) -> list[str]:
        """Return the names of all scores, the deciding one first."""
        names = list_score_names(self.runs)
        return sorted(names, key=lambda name: name != self.monitor)

    @property
    def main_columns(self) -> list[str]:
        """Return the columns to show first: a few of model, loss, optimiser and the like."""
        return ([key for key in self.columns if is_main_setting(key)] or list(self.columns))[:MAX_MAIN_COLUMNS]

    def get_score_direction(self, score: str) -> Direction:
        """Return the direction in which a score gets better; the configuration has that of the monitored one."""
        return Direction(self.sort_sign) if get_metric(score) == self.monitor else get_direction(get_metric(score))


def compare_runs(runs: Sequence[RunRecord], unreadable: Sequence[str] = ()) -> Comparison:
    """Compare runs; `unreadable` has a line for each folder that could not be read."""
    columns, dependent = split_settings([run for run in runs if run.config])
    if any(not run.config for run in runs):  # jobs that never started have no configuration
        columns, dependent = (fill_missing_runs(table, runs) for table in (columns, dependent))
    labels = label_protocols(runs)
    deciding = find_deciding_run(runs, labels)
    runs, notes = separate_score_columns(runs, deciding)
    groups = group_runs(runs, columns, labels)
    deciding_run = None if deciding is None else runs[deciding]
    return Comparison(
        tuple(runs), tuple(labels), columns, dependent, tuple(groups), tuple(unreadable), deciding_run, tuple(notes)
    )


def fill_missing_runs(table: ValueTable, runs: Sequence[RunRecord]) -> ValueTable:
    """Extend a table over the runs with configurations to all runs; the overrides of the others are their values."""
    filled: ValueTable = {}
    for key, values in table.items():
        known = iter(values)
        filled[key] = [next(known) if run.config else run.get_override(key) or UNKNOWN_VALUE for run in runs]
    return filled


def format_verdict(comparison: Comparison) -> str:
    """Return one or two sentences: the best setting, the second best, and whether the difference is significant."""
    if not comparison.ranking:
        return "No run has a score to rank by yet."
    key = f"best/{comparison.monitor}"
    first, *others = comparison.ranking
    best = first.intervals[key]
    text = f"Best: {first.label} with {comparison.monitor} {best}{format_seed_count(best)}"
    text += "" if first.is_finished else ", so far: no run has finished"
    if not others:
        return f"{text}."
    second = others[0].intervals[key]
    runner_up = f"{others[0].label} with {second}{format_seed_count(second)}"
    return f"{text}. Second: {runner_up}; {format_significance(best, second)}."


def format_seed_count(interval: Interval) -> str:
    """Return the number of seeds behind a mean, in brackets."""
    return f" (mean of {interval.n} seeds, 95 % interval)" if interval.half is not None else " (one seed)"


def format_significance(first: Interval, second: Interval) -> str:
    """Return the sentence about the overlap of two intervals."""
    if first.half is None or second.half is None:
        return "with one seed the difference may be chance"
    separate = abs(first.mean - second.mean) > first.half + second.half
    return "their intervals do not overlap" if separate else "their intervals overlap: more seeds are needed"


def list_remarks(comparison: Comparison, with_legend: bool = True) -> list[str]:
    """Return the remarks about the runs, one line each, with the legend of different protocols or without it."""
    lines = list_status_remarks(comparison.runs)
    if len(set(comparison.protocol_labels) - {""}) > 1:
        lines.append("the runs were evaluated with different protocols; each row has the letter of its protocol")
    if comparison.column_notes:
        lines.append("a score was measured with different settings: those of fewer runs have a column of their own")
    if len(comparison.legend) > 1 and with_legend:
        lines += comparison.legend
    rules = list_selection_rules([run for run in comparison.runs if run.is_finished])
    return lines + (["the best checkpoints were selected by different rules", *rules] if rules else [])


def list_status_remarks(runs: Sequence[RunRecord]) -> list[str]:
    """Return a line for each run that is not finished, with the reason; one for all of a state if there are many."""
    lines = []
    for state in (state for state in RunStatus if state != RunStatus.FINISHED):
        members = [run for run in runs if run.status.state == state]
        if len(members) <= MAX_LISTED_RUNS:
            lines += [f"{run.name} is {run.status}" for run in members]
        else:
            names = ", ".join(run.name for run in members[:MAX_LISTED_RUNS])
            lines.append(f"{len(members)} runs are {state}: {names} and {len(members) - MAX_LISTED_RUNS} more")
    return lines
