"""Which runs a user means."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.compare.run_record import RunRecord, read_run
from gantry.compare.wandb_offline import find_wandb_logs
from gantry.runs import status

RUN_FILES = ("config.yaml", "metrics.csv", "summary.json", "train.log", status.JOB_FILE)

RUN_CACHE: dict[Path, tuple[tuple[object, ...], RunRecord | None]] = {}  # the files of a run as they were, and the run


@dataclass(frozen=True)
class FoundRuns:
    """Runs that could be read, and a line for each folder that could not."""

    runs: tuple[RunRecord, ...]
    unreadable: tuple[str, ...]


def read_runs(folders: Sequence[str]) -> FoundRuns:
    """The runs in all folders, each once. Raises ValueError when a folder is missing or there is no run at all."""
    paths = list(dict.fromkeys(path for folder in folders for path in iter_run_folders(resolve_folder(folder))))
    if not paths:
        raise ValueError(f"runs must be folders of runs, got {', '.join(folders) or 'none'}, with no run in them")
    runs, broken = [], []
    for path, name in zip(paths, make_relative_names(paths)):
        try:
            runs.append(read_run_cached(path, name))
        except ValueError as error:
            broken.append(f"{name} is left out: {error}")
    if not runs:
        raise ValueError(f"runs must be folders of runs, got none that can be read: {'; '.join(broken)}")
    return FoundRuns(tuple(runs), tuple(broken))


def read_run_cached(path: Path, name: str) -> RunRecord:
    """The run of a folder; one that is finished is read again only when its files have changed.

    A sweep looks at all of its jobs after each of them.
    """
    files = [path / mark for mark in RUN_FILES if (path / mark).exists()]
    state = name, *((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    before, run = RUN_CACHE.get(path, ((), None))
    if run is None or before != state:
        run = read_run(path, name)
        RUN_CACHE[path] = state, run if run.is_finished else None
    return run


def resolve_folder(folder: str) -> Path:
    """The folder. Raises ValueError when it is missing."""
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise ValueError(f"runs must be folders of runs, got {folder}, which does not exist")
    return path


def iter_run_folders(folder: Path) -> Iterator[Path]:
    """The folder itself if it is a run, else the runs below it, by number where they have numbers."""
    if is_run_folder(folder):
        yield folder
        return
    inner = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    for path in sorted(inner, key=lambda path: (int(path.name) if path.name.isdigit() else float("inf"), path.name)):
        yield from iter_run_folders(path)


def is_run_folder(folder: Path) -> bool:
    """Whether a run has left something right here."""
    return any((folder / name).is_file() for name in RUN_FILES) or bool(find_wandb_logs(folder))


def make_relative_names(paths: Sequence[Path]) -> list[str]:
    """What tells the folders apart: their paths below the folder that all share."""
    above = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(above).as_posix() for path in paths]
