"""Compare runs by data set: numbers of different data sets cannot be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantry.compare.comparison import Comparison, compare_runs, format_verdict, list_remarks
from gantry.compare.config_diff import format_cell
from gantry.compare.run_record import RunRecord

IMAGE_FOLDER = "folder"  # the data set that is another one for each root
UNKNOWN = "unknown data set"


@dataclass(frozen=True)
class DataSetComparison:
    """A comparison for each data set, that with most runs first; `unreadable` has a line for each folder left out."""

    by_data_set: Mapping[str, Comparison]
    unreadable: tuple[str, ...] = ()


def compare_by_data_set(runs: Sequence[RunRecord], unreadable: Sequence[str] = ()) -> DataSetComparison:
    """Compare the runs of each data set with each other."""
    by_name: dict[str, list[RunRecord]] = {}
    for run, name in zip(runs, list_data_sets(runs)):
        by_name.setdefault(name, []).append(run)
    largest_first = sorted(by_name.items(), key=lambda item: -len(item[1]))
    return DataSetComparison({name: compare_runs(members) for name, members in largest_first}, tuple(unreadable))


def list_data_sets(runs: Sequence[RunRecord]) -> list[str]:
    """Return the data set of each run; a job that never started has that of the jobs beside it."""
    names = [get_data_set(run) for run in runs]
    beside = {run.folder.parent: name for run, name in zip(runs, names) if name}
    fallback = next(filter(None, names), UNKNOWN)
    return [name or beside.get(run.folder.parent, fallback) for run, name in zip(runs, names)]


def get_data_set(run: RunRecord) -> str:
    """Return `mnist`, or `folder ROOT`; "" if neither configuration nor overrides name it."""
    name = run.config.get("data.name")
    if name is None:
        return run.get_override("data") or ""
    root = run.config.get("data.source.root")
    return f"{name} {root}" if name == IMAGE_FOLDER and root else format_cell(name)


def format_verdicts(comparison: DataSetComparison) -> list[str]:
    """Return the verdict on each data set and the remarks on its runs, one line each."""
    lines = [f"- {line}" for line in comparison.unreadable]
    several = len(comparison.by_data_set) > 1
    for name, section in comparison.by_data_set.items():
        lines.append(f"{name}: {format_verdict(section)}" if several else format_verdict(section))
        lines += [f"- {line}" for line in list_remarks(section)]
    return lines
