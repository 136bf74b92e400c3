"""The configuration in a run folder: write it, read it back, compare it with that of a run that resumes there."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gantry.config.rules import Rule, or_null
from gantry.errors import UserError
from gantry.files import write_text
from gantry.runs.checkpoint import find_newest_intact_checkpoint, has_checkpoint
from gantry.runs.layout import CONFIG_FILE
from gantry.runs.migrate import CONFIG_VERSION, VERSION_KEY, migrate_config
from gantry.runs.stored_values import (
    COUNT,
    MAPPING,
    NUMBER,
    TEXT,
    TEXTS,
    check_values,
    iterate_mappings,
    iterate_texts,
    read_yaml,
)
from gantry.runs.summary import read_summary
from gantry.values import flatten

CHANGEABLE_KEYS = (
    "turns",
    "resume",
    "run",
    "trainer",
    "hardware",
    "paths",
    "logger",
    "callbacks",
    "hydra",
    "tags",
    "metrics",
    "trust",
    "show",
)

CONFIG_RULES: dict[str, Rule] = {
    "": ("a configuration", MAPPING[1]),
    **dict.fromkeys(("model", "data", "loss", "optim", "recipe", "trainer", "hardware", "run"), or_null(MAPPING)),
    **dict.fromkeys(("metrics", "callbacks", "logger", "paths"), or_null(MAPPING)),
    "turns": COUNT,
    "seed": or_null(COUNT),
    "tags": or_null(TEXTS),
    "run.overrides": TEXTS,
    **dict.fromkeys(("run.name", "run.group", "run.dir"), or_null(TEXT)),
    "recipe.lr": or_null(NUMBER),
    "model.lr_scale": NUMBER,
    **dict.fromkeys(("metrics.monitor", "metrics.mode"), or_null(TEXT)),
}

REPORTED_KEYS = ("turns", "trainer.precision")  # changeable ones on which the numbers of the run may depend


def write_config(cfg: DictConfig, folder: Path) -> None:
    """Write the resolved configuration, marked with the version of its keys."""
    write_text(folder / CONFIG_FILE, f"{VERSION_KEY}: {CONFIG_VERSION}\n{OmegaConf.to_yaml(cfg, resolve=True)}")


def read_config(folder: Path, key: str = "run") -> DictConfig:
    """Read the resolved configuration of a run, in the keys of this version. Raises UserError if there is none.

    `key` is what the user named the folder by.
    """
    cfg = OmegaConf.create(read_config_values(folder, key))
    assert isinstance(cfg, DictConfig)
    return cfg


def read_config_values(folder: Path, key: str = "run") -> dict[str, Any]:
    """Read what `read_config` does as plain values, ten times as fast."""
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{key} must be the folder of a run, got {folder}, which {reason}")
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{key} must be the folder of a run, got {folder}, which has no {CONFIG_FILE}")
    return deepcopy(load_config(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=1024)
def load_config(path: Path, written: int) -> dict[str, Any]:  # noqa: ARG001
    """Load a configuration as it was `written`; cached, since parsing takes longer than all else that is read of a run.

    Raises UserError if it cannot be read. A run writes its configuration resolved: an interpolation is refused, since
    it could put what is only in the reader's environment into a page or a log.
    """
    stored = read_yaml(path)
    check_values(path, stored, CONFIG_RULES)
    for key, text in iterate_texts(stored):
        if "${" in text:
            raise UserError(f"{CONFIG_FILE} must have no interpolations, got {text} at {key} in {path}")
    for key, mapping in iterate_mappings(stored):
        if None in mapping:  # which OmegaConf refuses
            raise UserError(
                f"{CONFIG_FILE} must have no null among its keys, got {f'{key}.null'.lstrip('.')} in {path}"
            )
    return migrate_config(stored)


def check_resumable(cfg: DictConfig, folder: Path) -> None:
    """Raise UserError unless the folder holds a run of this configuration with an intact checkpoint."""
    check_same_config(cfg, folder)
    check_turns(cfg.turns, read_summary(folder).get("turns", 0), folder)
    if not has_checkpoint(folder):
        raise UserError(f"resume must be the folder of a run with a checkpoint, got {folder}, which has none yet")
    find_newest_intact_checkpoint(folder)  # read again when training starts, which is quicker than importing torch here


def list_config_changes(cfg: DictConfig, folder: Path) -> list[str]:
    """Return what a resumed run changes that its numbers may depend on: `turns 100 -> 200`."""
    before = read_config(folder)
    pairs = {key: (OmegaConf.select(before, key), OmegaConf.select(cfg, key)) for key in REPORTED_KEYS}
    return [f"{key} {old} -> {new}" for key, (old, new) in pairs.items() if old != new]


def check_turns(turns: int, done: int, folder: Path) -> None:
    """Raise UserError for a budget that the run in the folder has exceeded already."""
    if turns < done:
        raise UserError(f"turns must be at least {done}, which the run {folder} has done already, got {turns}")


def check_same_config(cfg: DictConfig, folder: Path) -> None:
    """Raise UserError if a key that must not change differs from the stored configuration."""
    before, now = (flatten(OmegaConf.to_container(c, resolve=True)) for c in (read_config(folder), cfg))
    for key in sorted(before.keys() | now.keys()):
        if key.split(".")[0] not in CHANGEABLE_KEYS and before.get(key) != now.get(key):
            raise UserError(f"{key} must be {before.get(key)} as in the run to resume, got {now.get(key)}")
