"""Check the choices of configuration groups among the words of a command: names, and not numbers or null."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, Sweep

from gantry.config.rules import MAX_NAME_BYTES, format_value
from gantry.config.search_path import SEARCH_PATH_KEY
from gantry.config.text_values import parse_overrides

HYDRA = "hydra"  # its groups have choices elsewhere


def check_choices(argv: Sequence[str], config_dir: Path) -> None:
    """Raise ValueError for a value of a configuration group that is no name, which Hydra refuses without its key."""
    words = [word for word in argv if "=" in word and not word.startswith("-")]
    overrides = parse_overrides(words)
    folders = [config_dir, *(folder for override in overrides for folder in _list_search_path(override))]
    for override in overrides:
        group = override.key_or_group
        choices = sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
        is_hydras = group.partition("/")[0] == HYDRA
        if not choices and not is_hydras:
            continue
        known = "the name of a choice" if is_hydras else f"one of {', '.join(choices)}"
        for value in _list_values(override):
            if not _is_choice(value, override):
                raise ValueError(f"{group} must be {known}, got {format_value(value)}")
            for name in _list_unknown_names(value, choices) if choices and all(map(Path.is_dir, folders)) else ():
                raise ValueError(f"{group} must be {known}, got {name}")


def _list_unknown_names(value: Any, choices: Sequence[str]) -> list[str]:
    """Return the names in a list of choices that are none; of one with a folder nobody can tell."""
    names = value if isinstance(value, list) else []
    return [name for name in names if name not in choices and "/" not in name]


def _list_search_path(override: Override) -> list[Path]:
    value = override.value() if override.key_or_group == SEARCH_PATH_KEY else None
    sources = value if isinstance(value, list) else []
    return [Path(str(source).removeprefix("file://")) for source in sources]


def _list_values(override: Override) -> list[Any]:
    value = override.value()
    if value is None and override.is_delete():
        return []
    return list(value.list) if isinstance(value, ChoiceSweep) else [value]


def _is_choice(value: Any, override: Override) -> bool:
    if isinstance(value, list) and not override.is_delete():
        return all(isinstance(item, str) and _is_name(item) for item in value)
    if isinstance(value, str):
        return _is_name(value)
    return value is not None and not isinstance(value, list | int | float | Sweep)


def _is_name(text: str) -> bool:
    """Return True for a text that can name a file of a configuration group."""
    is_short = 0 < len(text) < MAX_NAME_BYTES and text.isprintable() and "${" not in text
    return is_short and not text.startswith("/") and ".." not in text.split("/")
