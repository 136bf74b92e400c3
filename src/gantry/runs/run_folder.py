"""The folder that a run leaves, and what a later one reads back."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from gantry.runs.flat_names import flat
from gantry.runs.seal import damage
from gantry.runs.writing import replace

log = logging.getLogger(__name__)
FREE = ("turns", "resume", "run", "trainer", "logger", "callbacks", "hydra", "tags", "metrics")
TOLD = ("turns", "trainer.precision")  # those of them that the numbers of the run may depend on


def write_config(cfg: DictConfig, folder: Path) -> None:
    """Write the resolved configuration."""
    replace(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))


def read_config(folder: Path) -> DictConfig:
    """The resolved configuration of a run."""
    if not folder.is_dir():
        raise ValueError(f"run must be the folder of a run, got {folder}, which does not exist")
    path = folder / "config.yaml"
    if not path.is_file():
        raise ValueError(f"run must be the folder of a run, got {folder}, which has no config.yaml")
    cfg = OmegaConf.create(parsed(path, path.stat().st_mtime_ns))
    assert isinstance(cfg, DictConfig)
    return cfg


@lru_cache(maxsize=1024)
def parsed(path: Path, written: int) -> Any:  # noqa: ARG001
    """A YAML file as it was `written`; parsing takes longer than all else that is read of a run."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_new(folder: Path) -> None:
    """A new run does not write into the folder of an earlier one."""
    if (folder / "config.yaml").exists():
        raise ValueError(
            f"run.name must be new (or use resume={folder} to go on), got the folder {folder} of an earlier run"
        )


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a state to go on from."""
    return any((folder / "checkpoints" / name).is_file() for name in ("last.ckpt", "before.ckpt"))


def check_resumable(cfg: DictConfig, folder: Path) -> None:
    """The folder holds a run of this configuration, and a state of it that is whole."""
    check_same(cfg, folder)
    if not has_checkpoint(folder):
        raise ValueError(f"resume must be the folder of a run with a checkpoint, got {folder}, which has none yet")
    newest_whole(folder)  # looked for again when training begins: to read it twice is quicker than to import torch


def changes(cfg: DictConfig, folder: Path) -> list[str]:
    """What a resumed run does otherwise from now on, where numbers may depend on it: `turns 100 -> 200`."""
    before = read_config(folder)
    pairs = {key: (OmegaConf.select(before, key), OmegaConf.select(cfg, key)) for key in TOLD}
    return [f"{key} {old} -> {new}" for key, (old, new) in pairs.items() if old != new]


def check_same(cfg: DictConfig, folder: Path) -> None:
    """A run goes on as what it was: only the keys in FREE may differ from its stored configuration."""
    before, now = (flat(OmegaConf.to_container(c, resolve=True)) for c in (read_config(folder), cfg))
    for key in sorted(before.keys() | now.keys()):
        if key.split(".")[0] not in FREE and before.get(key) != now.get(key):
            raise ValueError(f"{key} must be {before.get(key)} as in the run to resume, got {now.get(key)}")


def whole_checkpoint(path: Path, key: str = "resume", wanted: str = "the folder of a run with a checkpoint") -> Path:
    """The path, once every byte of the checkpoint has been checked against its checksums.

    `key` is what the user named it by, and `wanted` what that must be. Raises ValueError.
    """
    if not path.is_file():
        raise ValueError(f"{key} must be {wanted}, got {path}, which does not exist")
    if why := damage(path):
        raise ValueError(f"checkpoint must be whole, got {path}: {why}")
    return path


def newest_checkpoint(folder: Path) -> Path:
    """The last checkpoint of a run or, with a warning, the one before, should that be damaged. Raises ValueError."""
    path, why = newest_whole(folder)
    if why:
        log.warning("%s; going on from the one before, %s", why, path)
    return path


def newest_whole(folder: Path) -> tuple[Path, str]:
    """The last checkpoint of a run that is whole, and what is wrong with the one after it. Raises ValueError."""
    last, before = (folder / "checkpoints" / name for name in ("last.ckpt", "before.ckpt"))
    try:
        return whole_checkpoint(last), ""
    except ValueError as error:
        if not before.is_file():
            raise
        if why := damage(before):
            raise ValueError(f"{error}, and the one before, {before}: {why}") from None
        return before, str(error)
