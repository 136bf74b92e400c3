"""Configurations as the commands compose them, for tests that need no process of their own."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from gantry.runs import resolvers
from gantry.runs.shorthand import CONFIGS, spell_out
from gantry.runs.validate import validate


def choices(group: str) -> list[str]:
    """The choices of a group."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def composed(*overrides: str, config_name: str = "train") -> DictConfig:
    """A validated configuration; `run.dir` is a folder that does not exist."""
    resolvers.register()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = hydra.compose(config_name, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    spell_out(cfg)
    validate(cfg)
    return cfg
