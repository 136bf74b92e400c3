"""Folders with configurations of the user beside configs/, named by --config-dir or hydra.searchpath.

`--config-dir=DIR` becomes the override `hydra.searchpath`: Hydra composes with both, but an override is also there when
Gantry composes by itself, before Hydra does, and can be handed to another process.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

CONFIG_DIR_OPTIONS = ("--config-dir", "-cd")
SEARCH_PATH_KEY = "hydra.searchpath"


def replace_config_dir(argv: Sequence[str]) -> list[str]:
    """Return the words of a command with `hydra.searchpath=` for --config-dir. Raises ValueError if it is no folder."""
    remaining: list[str] = []
    folders: list[str] = []
    words = iter(argv)
    for word in words:
        option, is_joined, value = word.partition("=")
        if option in CONFIG_DIR_OPTIONS:
            folders.append(value if is_joined else next(words, ""))
        else:
            remaining.append(word)
    for folder in folders:
        if not folder or not Path(folder).expanduser().is_dir():
            raise ValueError(f"--config-dir must be a folder of configurations, got {folder or 'none'}")
    if folders and any(word.startswith(f"{SEARCH_PATH_KEY}=") for word in remaining):
        raise ValueError(f"{SEARCH_PATH_KEY} must be left out beside --config-dir, got both")
    sources = [f"file://{Path(folder).expanduser().resolve()}" for folder in folders]
    return [*remaining, *([format_search_path(sources)] if sources else [])]


def format_search_path(sources: Iterable[str]) -> str:
    """Return the override that adds these sources, file:///FOLDER or pkg://PACKAGE, to Hydra's search path."""
    quoted = ['"' + source.replace('"', '\\"') + '"' for source in sources]
    return f"{SEARCH_PATH_KEY}=[{','.join(quoted)}]"


def list_user_sources() -> list[str]:
    """Return the sources that the command line of this process names, as `format_search_path` takes them."""
    if not HydraConfig.initialized():
        return []
    sources = HydraConfig.get().runtime.config_sources
    return [f"{source.schema}://{source.path}" for source in sources if source.provider.endswith("command-line")]


def list_user_folders() -> list[Path]:
    """Return the folders of configurations that the command line of this process names."""
    prefix = "file://"
    return [Path(source.removeprefix(prefix)) for source in list_user_sources() if source.startswith(prefix)]
