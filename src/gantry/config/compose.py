"""Compose configurations outside Hydra's main, and spell their shorthand out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.config.choices import check_choices
from gantry.config.links import name_broken_links
from gantry.config.search_path import list_user_folders
from gantry.config.validate import is_evaluation, validate
from gantry.errors import unknown_key_message

CONFIG_DIR = Path(__file__).parents[3] / "configs"

Expansion = Callable[[Any], dict[str, Any] | None]
"""Turns a short value into the settings that it stands for; -> None for a value that is no shorthand."""


def compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of these overrides, with its node `hydra`, and let resolvers read that node."""
    cfg = compose_as_library(config_name, overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def compose_as_library(config_name: str, overrides: Sequence[str], return_hydra_config: bool = False) -> DictConfig:
    """Return the configuration of these overrides, without a trace in a program that uses Hydra itself."""
    check_choices(overrides, CONFIG_DIR)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(config_name, list(overrides), return_hydra_config=return_hydra_config)


def find_config_files(group: str) -> dict[str, Path]:
    """Return the files of a configuration group by name; of two with one name that of configs/, as Hydra takes it."""
    folders = [CONFIG_DIR, *list_user_folders()]
    return {path.stem: path for folder in reversed(folders) for path in sorted((folder / group).glob("*.yaml"))}


def finalize_config(cfg: DictConfig) -> DictConfig:
    """Remove Hydra's node, spell the shorthand out and validate; -> the same configuration. Raises ValueError."""
    with open_dict(cfg):
        cfg.pop("hydra", None)
    with name_broken_links(cfg):
        expand_shorthand(cfg)
        validate(cfg)
    return cfg


def expand_shorthand(cfg: DictConfig) -> None:
    """Spell out terms, scores, callbacks and loggers that are written in short.

    `+loss.d_terms.r1=5` is configs/loss/term/r1.yaml with weight 5, `+loss.d_terms.r1.every=16` is the same file with
    that setting. `+metrics.scores.manifold=true` is configs/metrics/score/manifold.yaml, and false removes a score.
    Files of the same groups in a folder of the user (`--config-dir`) have short forms, too.
    `callbacks.samples=false` and `logger.wandb=false` mean null. The scores of evaluate.py wait until they are
    chosen (`gantry.commands.evaluate`).
    """
    for key in ("loss.d_terms", "loss.g_terms"):
        _expand_node(cfg, key, "loss/term", _expand_weight)
    if not is_evaluation(cfg):
        expand_scores(cfg)
    for key in ("callbacks", "logger"):
        _replace_false(cfg, key)


def expand_scores(cfg: DictConfig) -> None:
    """Spell out the scores of the metrics; those of the report that are only `true` take the settings beside it."""
    _expand_node(cfg, "metrics.scores", "metrics/score", _expand_switch)
    scores, report = (OmegaConf.select(cfg, f"metrics.{key}") for key in ("scores", "report.scores"))
    if isinstance(scores, DictConfig) and isinstance(report, DictConfig):
        for name in [name for name, value in report.items() if value is True and name in scores]:
            report[name] = scores[name]
    _expand_node(cfg, "metrics.report.scores", "metrics/score", _expand_switch)


def _expand_weight(value: Any) -> dict[str, Any] | None:
    return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else None


def _expand_switch(value: Any) -> dict[str, Any] | None:
    return {} if value is True else None


def _expand_node(cfg: DictConfig, key: str, group: str, short: Expansion) -> None:
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig):
        return
    known = find_config_files(group)
    with open_dict(cfg):
        for name, value in [(str(name), value) for name, value in node.items()]:
            settings = value if isinstance(value, DictConfig) else short(value)
            if value is None or value is False:
                del node[name]
            elif settings is not None and "_target_" not in settings:
                if name not in known:
                    raise ValueError(unknown_key_message(f"{key}.{name}", known))
                node[name] = OmegaConf.merge(OmegaConf.load(known[name]), settings)


def _replace_false(cfg: DictConfig, key: str) -> None:
    node = OmegaConf.select(cfg, key)
    if isinstance(node, DictConfig):
        for name in [name for name, value in node.items() if value is False]:
            node[name] = None
