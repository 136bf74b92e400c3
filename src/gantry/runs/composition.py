"""Configurations as the commands compose them, outside Hydra's main."""

from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from gantry.runs.shorthand import CONFIGS, spell_out
from gantry.runs.validate import validate


def compose(config_name: str, words: Sequence[str]) -> DictConfig:
    """What these overrides make of a configuration, with its node `hydra`, which resolvers are told of, too."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = hydra.compose(config_name, list(words), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def settled(cfg: DictConfig) -> DictConfig:
    """The same configuration without Hydra's own node, spelled out. Raises ValueError unless it is valid."""
    with open_dict(cfg):
        cfg.pop("hydra", None)
    spell_out(cfg)
    validate(cfg)
    return cfg
