"""Find and read the runs in folders."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.compare.run_record import RunRecord, has_wandb_files, read_run
from gantry.errors import UserError
from gantry.runs.layout import RUN_FILES

log = logging.getLogger(__name__)

RUN_CACHE: dict[Path, tuple[tuple[object, ...], RunRecord | None]] = {}  # folder -> (state of its files, run)


@dataclass(frozen=True)
class FoundRuns:
    """The runs that could be read, and one line for each folder that could not."""

    runs: tuple[RunRecord, ...]
    unreadable: tuple[str, ...]


def read_runs(folders: Sequence[str]) -> FoundRuns:
    """Read the runs in all folders, each once. Raises UserError if a folder is missing or no run can be read."""
    paths = list(dict.fromkeys(path for folder in folders for path in iter_run_folders(resolve_folder(folder))))
    if not paths:
        raise UserError(f"runs must be folders of runs, got {', '.join(folders) or 'none'}, with no run in them")
    runs, unreadable = [], []
    for path, name in zip(paths, make_relative_names(paths)):
        try:
            runs.append(read_run_cached(path, name))
        except (ValueError, OSError) as error:
            unreadable.append(f"{name} is left out: {error}")
    if not runs:
        raise UserError(f"runs must be folders of runs, got none that can be read: {'; '.join(unreadable)}")
    return FoundRuns(tuple(runs), tuple(unreadable))


def read_run_cached(path: Path, name: str) -> RunRecord:
    """Read a run; a finished one is read again only if its files have changed.

    A sweep reads all of its jobs after each job.
    """
    files = [path / file for file in RUN_FILES if (path / file).exists()]
    state = name, *((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    cached_state, run = RUN_CACHE.get(path, ((), None))
    if run is None or cached_state != state:
        run = read_run(path, name)
        RUN_CACHE[path] = state, run if run.is_finished else None
    return run


def resolve_folder(folder: str) -> Path:
    """Return the absolute path of a folder. Raises UserError if it does not exist or cannot be looked at."""
    path = Path(folder).expanduser().resolve()
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise UserError(f"runs must be folders of runs, got {folder}: {error.strerror}") from None
    if not is_folder:
        raise UserError(f"runs must be folders of runs, got {folder}, which does not exist")
    return path


def iter_run_folders(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the folder itself if it is a run, else the runs below it.

    A folder that only W&B has written to is yielded too, so that reading it says why it is left out. A link to one of
    the folders `above` it is not followed. Logs a warning about a folder that cannot be searched.
    """
    try:
        yield from find_run_folders(folder, above) if folder.is_dir() else ()
    except OSError as error:
        log.warning("runs in %s are left out: %s", folder, error.strerror)


def find_run_folders(folder: Path, above: frozenset[str]) -> list[Path]:
    """Return the folder itself if it is a run, else the runs below it. Raises OSError if it cannot be searched."""
    if any((folder / name).is_file() for name in RUN_FILES) or any(folder.glob("*.wandb")):
        return [folder]
    real_path = os.path.realpath(folder)
    if real_path in above:
        return []
    paths = list_paths_in_order(folder)
    below = [run for path in paths for run in iter_run_folders(path, above | {real_path})]
    return below or ([folder] if has_wandb_files(folder) else [])


def list_paths_in_order(folder: Path) -> list[Path]:
    """Return what a folder has, without hidden names and W&B's: numbers in numeric order, then names."""
    names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and entry.name != "wandb"]
    names.sort(key=lambda name: (int(name) if name.isdecimal() else float("inf"), name))
    return [folder / name for name in names]


def make_relative_names(paths: Sequence[Path]) -> list[str]:
    """Return short distinct names for folders: their paths below the deepest folder that contains all of them."""
    parent = Path(os.path.commonpath([path.parent for path in paths]))
    names = [path.relative_to(parent).as_posix() for path in paths]
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]  # a name may be any bytes
