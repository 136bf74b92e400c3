"""The start and the end of a command: compose, validate, only then import what is heavy; report errors by kind."""

import io
import logging
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gantry.commands.help import format_help
from gantry.commands.resume import check_run_folder, check_run_name, expand_resume, set_run_folder
from gantry.config import resolvers
from gantry.config.choices import check_choices
from gantry.config.compose import CONFIG_DIR, compose, finalize_config
from gantry.config.search_path import replace_config_dir
from gantry.config.text_values import parse_overrides, quote_text_values, read_text_value
from gantry.distributed import environment
from gantry.errors import RunError, UserError, disk_errors, format_error, user_errors
from gantry.runs.new_folder import remove_unused_folder

log = logging.getLogger(__name__)
CommandFunction = Callable[[DictConfig], Any]
LAUNCHER_GROUPS = ("launcher", "hydra/launcher")


def command(config_name: str) -> Callable[[CommandFunction], Callable[[], None]]:
    """Make a command of a function of a configuration; `gantry.errors` says how each kind of error ends it."""

    def decorate(task: CommandFunction) -> Callable[[], None]:
        def main() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints errors and exits
            prepare_process()
            resolvers.register_resolvers()
            if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
                signal.signal(signal.SIGINT, exit_on_interrupt)
            try:
                with disk_errors():
                    start_command(config_name, task)
                sys.stdout.flush()
            except BrokenPipeError:
                exit_without_reader()
            except (UserError, HydraException, OmegaConfBaseException) as error:
                exit_with_user_error(error)
            except RunError as error:
                exit_with_run_error(error)
            except Exception:
                log.exception("stopped by an unexpected error")  # on the console, and in the log file if there is one
                sys.exit(1)

        return main

    return decorate


def prepare_process() -> None:
    """Give libraries a home folder where the user has none, and let the console print any path.

    HOME=/ is what Docker sets for a user without an account: caches that cannot be written there are left out.
    """
    try:
        os.environ.setdefault("HOME", str(Path.home()))
    except RuntimeError:
        os.environ["HOME"] = "/"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def start_command(config_name: str, task: CommandFunction) -> None:
    """Check the words of the command and run it by Hydra."""
    with user_errors():
        environment.export_srun_variables()
        sys.argv[1:] = quote_text_values(replace_config_dir(sys.argv[1:]))
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(format_help(config_name, [word for word in sys.argv[1:] if not word.startswith("-")]))
            sys.exit(0)
        sys.argv[1:] = expand_resume(sys.argv[1:])
        validate_early(config_name, sys.argv[1:])
    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(wrap_command(task))()


def exit_on_interrupt(number: int, _: FrameType | None) -> NoReturn:
    """Print that the user has interrupted the command, and end with the status of a process that SIGINT ended.

    While turns are trained `gantry.callbacks.signals` handles the signal instead.
    """
    signal.signal(number, signal.SIG_DFL)
    print("interrupted", file=sys.stderr)
    sys.exit(128 + number)


def exit_without_reader() -> NoReturn:
    """End with the status of a process that SIGPIPE ended: the reader of its output has ended (`| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest when it ends
    sys.exit(128 + signal.SIGPIPE)


def exit_with_user_error(error: Exception) -> NoReturn:
    """Print the mistake, and end with status 2."""
    print_traceback_for_debugging(error)
    print(f"error: {format_error(error)}", file=sys.stderr)
    sys.exit(2)


def exit_with_run_error(error: RunError) -> NoReturn:
    """Print why a run ends, once for all its processes, and end with status 1."""
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))):
        sys.exit(128 + signal.SIGTERM)  # as if terminated: rank 0 reports the reason
    print_traceback_for_debugging(error)
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def print_traceback_for_debugging(error: Exception) -> None:
    """Print the traceback of an error if GANTRY_DEBUG is set."""
    if os.environ.get("GANTRY_DEBUG"):
        traceback.print_exception(error)


def wrap_command(task: CommandFunction) -> CommandFunction:
    """Return the task as Hydra calls it: the folder that Hydra made is filled in, the configuration checked again."""

    def run(cfg: DictConfig) -> Any:
        try:
            with user_errors():
                if isinstance(cfg.get("run"), DictConfig):  # a command that makes a run, not one that reads one
                    environment.export_srun_variables()  # a launcher may have started this job on another machine
                    set_run_folder(cfg)
                finalize_config(cfg)
            with disk_errors():
                return task(cfg)
        except BrokenPipeError:  # here and not in main: Hydra would print a line of its own
            exit_without_reader()
        except (UserError, RunError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            if isinstance(cfg.get("run"), DictConfig):
                remove_unused_folder(Path(HydraConfig.get().runtime.output_dir))
            if isinstance(error, RunError):  # here and not in main: Hydra's own line would precede ours
                exit_with_run_error(error)
            exit_with_user_error(error)
        except (HydraException, OmegaConfBaseException) as error:  # the configuration is valid: a bug of the task
            raise RuntimeError("a key of the configuration was used in a way that it does not allow") from error

    return run


def validate_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; the jobs of a sweep and further ranks do so when they start."""
    sweep = bool({"-m", "--multirun"} & set(argv))
    if sweep and environment.read_ranks().world_size > 1:
        raise ValueError(
            f"a sweep must start its processes itself (trainer=ddp), got {environment.read_ranks().world_size} of them"
        )
    if sweep:
        check_choices(argv, CONFIG_DIR)
        check_launcher({word.rpartition("=")[2] for word in argv if word.rpartition("=")[0] in LAUNCHER_GROUPS})
        if (name := read_text_value(argv, "run.name")) is not None:
            check_run_name(name)
        export_python_path()
    if (
        environment.PARENT_VARIABLE in os.environ
        or environment.is_externally_launched()
        or any(word.startswith("-") for word in argv)
    ):
        return
    cfg = compose_early(config_name, argv)
    if cfg.hydra.mode == RunMode.MULTIRUN:  # a search, whose sweeper validates it before it writes a file
        check_launcher({cfg.hydra.runtime.choices.get("hydra/launcher")})
        export_python_path()
        return
    launcher = cfg.hydra.runtime.choices.get("launcher", "basic")
    if launcher != "basic":
        raise ValueError(f"launcher must be basic for a single run (-m makes a sweep, of one job too), got {launcher}")
    if not isinstance(finalize_config(cfg).get("run"), DictConfig):
        return
    if not cfg.get("show"):
        check_run_folder(cfg)


def check_launcher(names: Collection[str | None]) -> None:
    """Raise ValueError for the launcher of a cluster on a machine that is not part of one."""
    if "submitit_slurm" in names and shutil.which("srun") is None:
        rule = "basic, joblib, ray or submitit_local on a machine without SLURM's srun"
        raise ValueError(f"launcher must be {rule}, got submitit_slurm")


def compose_early(config_name: str, argv: list[str]) -> DictConfig:
    """Compose without the swept values of a search; those of a single run are refused, as Hydra refuses them."""
    overrides = parse_overrides(argv)
    swept = [override.is_sweep_override() for override in overrides]
    cfg = compose(config_name, [word for word, is_swept in zip(argv, swept) if not is_swept])
    return compose(config_name, argv) if any(swept) and cfg.hydra.mode != RunMode.MULTIRUN else cfg


def export_python_path() -> None:
    """Extend PYTHONPATH so that the processes of a launcher import the same modules as this one."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
