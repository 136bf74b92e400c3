"""Configurations as the commands compose them, for tests that need no process of their own."""

from omegaconf import DictConfig

from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR, compose, finalize_config

SMALL_WIDTHS = {  # a model's widths for tests
    "dcgan": ["model.G.width=4", "model.D.width=4"],
    "dcgan_small": ["model.G.width=4", "model.D.width=4"],
    "mlp_conv": ["model.D.width=4"],
    "resnet": ["model.G.width=4", "model.D.width=4"],
    "sngan": ["model.G.width=4", "model.D.width=4"],
}


def list_choices(group: str) -> list[str]:
    """The choices of a group."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def compose_config(*overrides: str, config_name: str = "train") -> DictConfig:
    """A validated configuration; `run.dir` is a folder that does not exist."""
    resolvers.register_resolvers()
    return finalize_config(compose(config_name, overrides))
