"""Which runs a user means."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.compare.run_record import Run, read_run
from gantry.compare.wandb_offline import find_logs
from gantry.runs import status

MARKS = ("config.yaml", "metrics.csv", "summary.json", "train.log", status.FILE)

KEPT: dict[Path, tuple[tuple[object, ...], Run | None]] = {}  # the files of a run as they were, and the run


@dataclass(frozen=True)
class Found:
    """Runs that could be read, and a line for each folder that could not."""

    runs: tuple[Run, ...]
    broken: tuple[str, ...]


def read_all(folders: Sequence[str]) -> Found:
    """The runs in all folders, each once. Raises ValueError when a folder is missing or there is no run at all."""
    paths = list(dict.fromkeys(path for folder in folders for path in runs_in(existing(folder))))
    if not paths:
        raise ValueError(f"runs must be folders of runs, got {', '.join(folders) or 'none'}, with no run in them")
    runs, broken = [], []
    for path, name in zip(paths, names(paths)):
        try:
            runs.append(read_once(path, name))
        except ValueError as error:
            broken.append(f"{name} is left out: {error}")
    if not runs:
        raise ValueError(f"runs must be folders of runs, got none that can be read: {'; '.join(broken)}")
    return Found(tuple(runs), tuple(broken))


def read_once(path: Path, name: str) -> Run:
    """The run of a folder; one that is finished is read again only when its files have changed.

    A sweep looks at all of its jobs after each of them.
    """
    files = [path / mark for mark in MARKS if (path / mark).exists()]
    state = name, *((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    before, run = KEPT.get(path, ((), None))
    if run is None or before != state:
        run = read_run(path, name)
        KEPT[path] = state, run if run.finished else None
    return run


def existing(folder: str) -> Path:
    """The folder. Raises ValueError when it is missing."""
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise ValueError(f"runs must be folders of runs, got {folder}, which does not exist")
    return path


def runs_in(folder: Path) -> Iterator[Path]:
    """The folder itself if it is a run, else the runs below it, by number where they have numbers."""
    if is_run(folder):
        yield folder
        return
    inner = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    for path in sorted(inner, key=lambda path: (int(path.name) if path.name.isdigit() else float("inf"), path.name)):
        yield from runs_in(path)


def is_run(folder: Path) -> bool:
    """Whether a run has left something right here."""
    return any((folder / name).is_file() for name in MARKS) or bool(find_logs(folder))


def names(paths: Sequence[Path]) -> list[str]:
    """What tells the folders apart: their paths below the folder that all share."""
    above = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(above).as_posix() for path in paths]
