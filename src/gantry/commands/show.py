"""`show=true`: print the configuration as it would run, and end before a folder is made.

A callback of Hydra and not a step of `gantry.commands.entry`: Hydra alone composes in every kind of start, also with
--config-dir and under torchrun.
"""

import copy
import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from gantry.commands.entry import exit_with_user_error, exit_without_reader
from gantry.config.compose import finalize_config
from gantry.distributed import environment
from gantry.errors import UserError, user_errors


class ShowCallback(Callback):
    """Print the configuration instead of running it, if `show` asks for it."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if not config.get("show"):
            return
        try:
            with user_errors():
                text = format_config(config)
        except UserError as error:  # Hydra turns what a callback raises into a warning
            exit_with_user_error(error)
        if environment.read_ranks().rank == 0:
            try:
                print(text, end="", flush=True)
            except BrokenPipeError:
                exit_without_reader()
        sys.exit(0)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if config.get("show"):
            exit_with_user_error(UserError("show must be false for a sweep or a search, of many runs, got true"))


def format_config(config: DictConfig) -> str:
    """Return the configuration of a run as YAML, resolved, with its shorthand spelled out. Raises ValueError."""
    return OmegaConf.to_yaml(finalize_config(copy.deepcopy(config)), resolve=True)
