"""How a command starts: compose, validate, and only then import what is heavy."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from gantry.runs import resolvers
from gantry.runs.errors import RunError, UserError, failures, mistakes, one_line
from gantry.runs.run_folder import check_new, check_same, read_config
from gantry.runs.shorthand import CONFIGS, spell_out
from gantry.runs.validate import validate

Task = Callable[[DictConfig], Any]


def entry(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make a function of a configuration a command: mistakes of the user end in one line and exit status 2."""

    def decorate(task: Task) -> Callable[[], None]:
        def main() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here whole; bugs keep their traceback
            resolvers.register()
            try:
                with mistakes():
                    sys.argv[1:] = resumed(sys.argv[1:])
                    refuse_early(config_name, sys.argv[1:])
                with failures():
                    hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job(task))()
            except (UserError, HydraException, OmegaConfBaseException) as error:
                refuse(error)
            except RunError as error:
                fail(error)

        return main

    return decorate


def refuse(error: Exception) -> NoReturn:
    """Say what is wrong and end."""
    print(f"error: {one_line(error)}", file=sys.stderr)
    sys.exit(2)


def fail(error: RunError) -> NoReturn:
    """Say why a run ends; of its processes, the first one does."""
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))):
        sys.exit(128 + signal.SIGTERM)  # as if it had been told to end, for the first one's reason is the one to hear
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def job(task: Task) -> Task:
    """The task, told the folder that Hydra made for it, after one more look at its configuration."""

    def run(cfg: DictConfig) -> Any:
        if isinstance(cfg.get("run"), DictConfig):  # a command that makes a run, not one that reads one
            with open_dict(cfg):
                cfg.run.dir = HydraConfig.get().runtime.output_dir
                cfg.run.overrides = [word for word in HydraConfig.get().overrides.task if not_of_one_start(word)]
        try:
            with mistakes():
                spell_out(cfg)
                validate(cfg)
            with failures():
                return task(cfg)
        except (UserError, RunError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            fail(error) if isinstance(error, RunError) else refuse(error)  # here: Hydra's own line would precede ours

    return run


def not_of_one_start(word: str) -> bool:
    """Whether an override belongs to the run, and not to where and how this process began."""
    return word.partition("=")[0] not in ("resume", "run.name", "run.dir")


def refuse_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; a sweep's jobs, and further ranks, do it when they begin."""
    if "LOCAL_RANK" in os.environ or any(word.startswith("-") for word in argv):
        return
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = hydra.compose(config_name, argv, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        spell_out(cfg)
        validate(cfg)
        if isinstance(cfg.get("run"), DictConfig):
            check_same(cfg, Path(cfg.resume)) if cfg.resume else check_new(Path(cfg.run.dir))


def resumed(argv: list[str]) -> list[str]:
    """`resume=FOLDER` stands for the overrides that the run was started with; what is said now is added."""
    folder = next((word.partition("=")[2] for word in argv if word.startswith("resume=")), "")
    if folder in ("", "null"):
        return argv
    before = read_config(Path(folder)).run.overrides
    said = {word.partition("=")[0].lstrip("+~") for word in argv}
    kept = [word for word in before if word.partition("=")[0].lstrip("+~") not in said]
    return [*kept, *argv, f"run.name={Path(folder).resolve().name}", f"hydra.run.dir={folder}"]
