"""Find out whether the user is logged in to W&B, without a prompt and without importing wandb."""

import netrc
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gantry.files import find_existing_folder

WandbMode = Literal["online", "offline", "disabled"]
WANDB_HOST = "https://api.wandb.ai"


def choose_wandb_mode(setting: str, environment: Mapping[str, str]) -> WandbMode:
    """Return the mode of W&B's settings, but online only if the user is logged in: W&B would wait at a prompt for
    ever."""
    if setting == "disabled":
        return "disabled"
    return "online" if setting not in ("offline", "dryrun") and is_logged_in(environment) else "offline"


def is_logged_in(environment: Mapping[str, str]) -> bool:
    """Return True if a key for the W&B server is in the environment or in the netrc file."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = environment.get("NETRC") or next((p for p in list_netrc_files() if os.access(p, os.R_OK)), None)
    server = urlsplit(environment.get("WANDB_BASE_URL", WANDB_HOST)).netloc
    try:
        return path is not None and netrc.netrc(path).authenticators(server) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def list_netrc_files() -> list[Path]:
    """Return the files in which `wandb login` may store the key."""
    return [Path.home() / ".netrc", Path.home() / "_netrc"]


def set_cache_folder(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Let W&B write its own log to a folder if the user's cache folder cannot be written: else it is on the console."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not os.access(find_existing_folder(cache), os.W_OK | os.X_OK):
        environment["XDG_CACHE_HOME"] = str(folder)
