"""Configurations as the commands compose them, outside Hydra's main."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.config.validate import validate
from gantry.errors import unknown_key_message


def compose(config_name: str, words: Sequence[str]) -> DictConfig:
    """Return the configuration that these overrides make, with its node `hydra`, which resolvers can read, too."""
    cfg = compose_as_library(config_name, words, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def compose_as_library(config_name: str, words: Sequence[str], return_hydra_config: bool = False) -> DictConfig:
    """Return the configuration that these overrides make, without a trace in a program that uses Hydra itself."""
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(config_name, list(words), return_hydra_config=return_hydra_config)


def finalize_config(cfg: DictConfig) -> DictConfig:
    """The same configuration without Hydra's own node, spelled out. Raises ValueError unless it is valid."""
    with open_dict(cfg):
        cfg.pop("hydra", None)
    expand_shorthand(cfg)
    validate(cfg)
    return cfg


CONFIG_DIR = Path(__file__).parents[3] / "configs"

Expansion = Callable[[Any], dict[str, Any] | None]  # the settings that a short value stands for; None: for none


def expand_shorthand(cfg: DictConfig) -> None:
    """Put the file of its name behind every term and score that has no `_target_`.

    `+loss.d_terms.r1=5` is configs/loss/term/r1.yaml with the weight 5, `+loss.d_terms.r1.every=16` is the same file
    with that setting. `+metrics.scores.manifold=true` is configs/metrics/score/manifold.yaml, and false is none.
    """
    for key in ("loss.d_terms", "loss.g_terms"):
        _expand_node(cfg, key, CONFIG_DIR / "loss" / "term", _expand_weight)
    for key in ("metrics.scores", "metrics.report.scores"):
        _expand_node(cfg, key, CONFIG_DIR / "metrics" / "score", _expand_switch)


def _expand_weight(value: Any) -> dict[str, Any] | None:
    return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else None


def _expand_switch(value: Any) -> dict[str, Any] | None:
    return {} if value is True else None


def _expand_node(cfg: DictConfig, key: str, folder: Path, short: Expansion) -> None:
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig):
        return
    known = {path.stem: path for path in folder.glob("*.yaml")}
    with open_dict(cfg):
        for name, value in [(str(name), value) for name, value in node.items()]:
            settings = value if isinstance(value, DictConfig) else short(value)
            if value is None or value is False:
                del node[name]
            elif settings is not None and "_target_" not in settings:
                if name not in known:
                    raise ValueError(unknown_key_message(f"{key}.{name}", known))
                node[name] = OmegaConf.merge(OmegaConf.load(known[name]), settings)
