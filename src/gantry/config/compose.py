"""Configurations as the commands compose them, outside Hydra's main."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.config.validate import validate
from gantry.errors import unknown_key


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


CONFIGS = Path(__file__).parents[3] / "configs"

Short = Callable[[Any], dict[str, Any] | None]  # the settings that a short value stands for; None: for none


def spell_out(cfg: DictConfig) -> None:
    """Put the file of its name behind every term and score that has no `_target_`.

    `+loss.d_terms.r1=5` is configs/loss/term/r1.yaml with the weight 5, `+loss.d_terms.r1.every=16` is the same file
    with that setting. `+metrics.scores.manifold=true` is configs/metrics/score/manifold.yaml, and false is none.
    """
    for key in ("loss.d_terms", "loss.g_terms"):
        _spell_out(cfg, key, CONFIGS / "loss" / "term", _weight)
    for key in ("metrics.scores", "metrics.report.scores"):
        _spell_out(cfg, key, CONFIGS / "metrics" / "score", _switch)


def _weight(value: Any) -> dict[str, Any] | None:
    return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else None


def _switch(value: Any) -> dict[str, Any] | None:
    return {} if value is True else None


def _spell_out(cfg: DictConfig, key: str, folder: Path, short: Short) -> None:
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
                    raise ValueError(unknown_key(f"{key}.{name}", known))
                node[name] = OmegaConf.merge(OmegaConf.load(known[name]), settings)
