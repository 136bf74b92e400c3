"""The folder that a run leaves, and what a later one reads back."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from gantry.files import write_text
from gantry.runs.checkpoint import find_newest_intact_checkpoint, has_checkpoint
from gantry.runs.layout import CONFIG_FILE
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
)

REPORTED_KEYS = ("turns", "trainer.precision")  # those of them that the numbers of the run may depend on


def write_config(cfg: DictConfig, folder: Path) -> None:
    """Write the resolved configuration."""
    write_text(folder / CONFIG_FILE, OmegaConf.to_yaml(cfg, resolve=True))


def read_config(folder: Path) -> DictConfig:
    """The resolved configuration of a run."""
    if not folder.is_dir():
        raise ValueError(f"run must be the folder of a run, got {folder}, which does not exist")
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"run must be the folder of a run, got {folder}, which has no {CONFIG_FILE}")
    cfg = OmegaConf.create(load_yaml(path, path.stat().st_mtime_ns))
    assert isinstance(cfg, DictConfig)
    return cfg


@lru_cache(maxsize=1024)
def load_yaml(path: Path, written: int) -> Any:  # noqa: ARG001
    """A YAML file as it was `written`; parsing takes longer than all else that is read of a run."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_new_folder(folder: Path) -> None:
    """A new run does not write into the folder of an earlier one."""
    if (folder / CONFIG_FILE).exists():
        raise ValueError(
            f"run.name must be new (or use resume={folder} to go on), got the folder {folder} of an earlier run"
        )


def check_resumable(cfg: DictConfig, folder: Path) -> None:
    """The folder holds a run of this configuration, and a state of it that is whole."""
    check_same_config(cfg, folder)
    if not has_checkpoint(folder):
        raise ValueError(f"resume must be the folder of a run with a checkpoint, got {folder}, which has none yet")
    find_newest_intact_checkpoint(
        folder
    )  # looked for again when training begins: to read it twice is quicker than to import torch


def list_config_changes(cfg: DictConfig, folder: Path) -> list[str]:
    """What a resumed run does otherwise from now on, where numbers may depend on it: `turns 100 -> 200`."""
    before = read_config(folder)
    pairs = {key: (OmegaConf.select(before, key), OmegaConf.select(cfg, key)) for key in REPORTED_KEYS}
    return [f"{key} {old} -> {new}" for key, (old, new) in pairs.items() if old != new]


def check_same_config(cfg: DictConfig, folder: Path) -> None:
    """A run goes on as what it was: only the keys in FREE may differ from its stored configuration."""
    before, now = (flatten(OmegaConf.to_container(c, resolve=True)) for c in (read_config(folder), cfg))
    for key in sorted(before.keys() | now.keys()):
        if key.split(".")[0] not in CHANGEABLE_KEYS and before.get(key) != now.get(key):
            raise ValueError(f"{key} must be {before.get(key)} as in the run to resume, got {now.get(key)}")
