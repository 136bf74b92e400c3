"""Compose configurations as the commands do, in the process of the test."""

from omegaconf import DictConfig

from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR, compose, finalize_config

SMALL_WIDTHS = {  # overrides by model
    "biggan": ["model.G.width=2", "model.D.width=4", "model.G.attention=8", "model.D.attention=4"],
    "biggan_cifar": ["model.G.width=2", "model.D.width=2"],
    "dcgan": ["model.G.width=4", "model.D.width=4"],
    "dcgan_small": ["model.G.width=4", "model.D.width=4"],
    "mlp_conv": ["model.D.width=4"],
    "resnet": ["model.G.width=4", "model.D.width=4"],
    "sagan": ["model.G.width=4", "model.D.width=4", "model.G.attention=8", "model.D.attention=4"],
    "r3gan": ["model.G.widths=[16,16,8]", "model.G.blocks=[1,1,1]", "model.G.group_size=8", "model.G.embed_dim=4"],
    "sngan": ["model.G.width=4", "model.D.width=4"],
    "stylegan2": ["model.G.widths=[8,8,4]", "model.G.w_dim=8", "model.z_dim=8", "model.D.group=2"],
}


def list_choices(group: str) -> list[str]:
    """Return the choices of a configuration group."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def compose_config(*overrides: str, config_name: str = "train") -> DictConfig:
    """Return a validated configuration; `run.dir` is a folder that does not exist."""
    resolvers.register_resolvers()
    return finalize_config(compose(config_name, overrides))
