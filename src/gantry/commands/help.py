"""The text of --help: usage, choices and keys of a command.

Hydra's own help copies all of its schemas for each group that it lists, which takes seconds.
"""

from collections.abc import Sequence

from omegaconf import OmegaConf, open_dict

from gantry.config.compose import CONFIG_DIR, compose, find_config_files
from gantry.config.search_path import list_user_folders

FOOTER = """\
Any key is set by KEY=VALUE, a new one by +KEY=VALUE. --cfg job prints the configuration, -m makes a sweep, --hydra-help
lists Hydra's own options. GANTRY_DEBUG=1 shows the traceback of a mistake."""


def format_help(config_name: str, overrides: Sequence[str]) -> str:
    """Return the help of a command with these overrides. Raises the errors of their composition."""
    cfg = compose(config_name, overrides)
    groups = format_groups([str(group) for group in cfg.hydra.runtime.choices if not str(group).startswith("hydra/")])
    with open_dict(cfg):
        del cfg["hydra"]
    sections = [format_usage(config_name), *([f"Choices (GROUP=CHOICE)\n\n{groups}"] if groups else [])]
    return "\n\n".join([*sections, f"Keys\n\n{OmegaConf.to_yaml(cfg).rstrip()}", FOOTER])


def format_usage(config_name: str) -> str:
    """Return the comment at the head of a command's configuration."""
    lines = (CONFIG_DIR / f"{config_name}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.lstrip("# ") for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")])


def format_groups(groups: Sequence[str]) -> str:
    """Return a line with the choices of each of these groups and of the groups inside them."""
    roots = (CONFIG_DIR, *list_user_folders())
    folders = {path.parent.relative_to(root).as_posix() for root in roots for path in root.rglob("*.yaml")} - {"."}
    return "\n".join(
        f"{name}: {', '.join(sorted(find_config_files(name)))}"
        for name in sorted(folders)
        if any(f"{name}/".startswith(f"{group}/") for group in groups)
    )
