"""The overrides that a run folder stores. `resume=` gives them to Hydra again, so not every one will do.

Refused are those that set up Hydra itself, compute a value, choose a file outside the groups, name a part that a run
folder may not, or write outside the folder of the run. What the user types again beside `resume=` needs no check.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gantry.config.text_values import parse_overrides
from gantry.config.trust import check_targets
from gantry.errors import UserError

RULE = "run.overrides must be settings of the experiment (or typed again beside resume=)"

OUTPUT_KEY = re.compile(r"(callbacks|logger|trainer)\..*|metrics\.(.*\.)?cache")  # what is written is named below them
OUTPUT_NAME = re.compile(r"(\w+_)?(folder|dir|dirpath|path|root|file|filename|uri|cache|artifacts)")
FOLDER_KEY = re.compile(r"paths\..*|data\.(.*\.)?root")  # data sets are looked for there, and downloaded


def check_stored_overrides(overrides: Sequence[str], trusted: Sequence[str], run: Path) -> None:
    """Raise UserError for a stored override that a run folder may not give; `run` is the folder."""
    for override in parse_overrides(overrides):
        key, value, text = override.key_or_group, override.value(), str(override.input_line)
        if key.startswith("hydra") or "${" in text or override.is_sweep_override():
            raise UserError(f"{RULE}, got {text}")
        if "." not in key and any(leaves_folder(str(choice)) for _, choice in iterate_leaves(value, key)):
            raise UserError(f"{RULE}: {key} must be one of its choices, got {text}")
        check_targets(value, key, trusted)
        for leaf_key, leaf in iterate_leaves(value, key):
            check_path(leaf_key, leaf, run)


def check_path(key: str, value: Any, run: Path) -> None:
    """Raise UserError for a value that has a part write outside the run, or a data set download to a new folder."""
    if not isinstance(value, str) or key.endswith("._target_"):
        return
    path = Path(value).expanduser()
    if FOLDER_KEY.fullmatch(key) and not (path.is_dir() or path.resolve() in run.resolve().parents):
        raise UserError(f"{RULE}: {key} must be a folder that exists, got {value}")
    is_output = OUTPUT_NAME.fullmatch(key.rpartition(".")[2]) or leaves_folder(value)
    if OUTPUT_KEY.fullmatch(key) and is_output and not path.resolve().is_relative_to(run.resolve()):
        raise UserError(f"{RULE}: {key} must be in the folder of the run, got {value}")


def leaves_folder(name: str) -> bool:
    """Return True for the name of a file, or an address, that is not below the folder where it is looked for."""
    return name.startswith(("/", "~")) or "\\" in name or "://" in name or ".." in name.split("/")


def iterate_leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of all that is neither a mapping nor a list; the items of a list have its key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from iterate_leaves(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from iterate_leaves(inner, key)
    else:
        yield key, value
