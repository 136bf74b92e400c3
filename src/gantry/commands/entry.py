"""How a command starts: compose, validate, and only then import what is heavy."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gantry.commands.resume import check_run_folder, expand_resume, set_run_folder
from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR, compose, finalize_config
from gantry.distributed import environment
from gantry.errors import RunError, UserError, disk_errors, format_error, user_errors

CommandFunction = Callable[[DictConfig], Any]


def command(config_name: str) -> Callable[[CommandFunction], Callable[[], None]]:
    """Make a function of a configuration a command: mistakes of the user end in one line and exit status 2."""

    def decorate(task: CommandFunction) -> Callable[[], None]:
        def main() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here whole; bugs keep their traceback
            resolvers.register_resolvers()
            disable_schema_copies()
            try:
                with user_errors():
                    environment.export_srun_variables()
                    sys.argv[1:] = expand_resume(sys.argv[1:])
                    validate_early(config_name, sys.argv[1:])
                with disk_errors():
                    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(
                        wrap_command(task)
                    )()
            except (UserError, HydraException, OmegaConfBaseException) as error:
                exit_with_user_error(error)
            except RunError as error:
                exit_with_run_error(error)

        return main

    return decorate


def exit_with_user_error(error: Exception) -> NoReturn:
    """Say what is wrong and end."""
    print(f"error: {format_error(error)}", file=sys.stderr)
    sys.exit(2)


def exit_with_run_error(error: RunError) -> NoReturn:
    """Say why a run ends; of its processes, the first one does."""
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))):
        sys.exit(128 + signal.SIGTERM)  # as if it had been told to end, for the first one's reason is the one to hear
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def wrap_command(task: CommandFunction) -> CommandFunction:
    """The task, told the folder that Hydra made for it, after one more look at its configuration."""

    def run(cfg: DictConfig) -> Any:
        try:
            with user_errors():
                if isinstance(cfg.get("run"), DictConfig):  # a command that makes a run, not one that reads one
                    environment.export_srun_variables()  # a launcher may have brought this job here
                    set_run_folder(cfg)
                finalize_config(cfg)
            with disk_errors():
                return task(cfg)
        except (UserError, RunError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            exit_with_run_error(error) if isinstance(error, RunError) else exit_with_user_error(
                error
            )  # here: Hydra's own line would precede ours

    return run


def validate_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; a sweep's jobs, and further ranks, do it when they begin."""
    sweep = bool({"-m", "--multirun"} & set(argv))
    if sweep and environment.read_ranks().world_size > 1:
        raise ValueError(
            f"a sweep must start its processes itself (trainer=ddp), got {environment.read_ranks().world_size} of them"
        )
    if sweep:
        export_python_path()
    if (
        environment.PARENT_VARIABLE in os.environ
        or environment.is_externally_launched()
        or any(word.startswith("-") for word in argv)
    ):
        return
    cfg = compose(config_name, argv)
    launcher = cfg.hydra.runtime.choices.get("launcher", "basic")
    if launcher != "basic":
        raise ValueError(f"launcher must be basic for a single run (-m makes a sweep, of one job too), got {launcher}")
    if searched := cfg.hydra.runtime.choices.get("hparams_search"):
        raise ValueError(f"hparams_search must be null for a single run (-m makes a search), got {searched}")
    if isinstance(finalize_config(cfg).get("run"), DictConfig):
        check_run_folder(cfg)


def disable_schema_copies() -> None:
    """Let Hydra look up its own schemas where they are; else it copies them all for each group that `--help` lists.

    What it takes from there it copies anyway.
    """
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]  # noqa: ARG005


def export_python_path() -> None:
    """Let the processes that a launcher starts import what this one can."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
