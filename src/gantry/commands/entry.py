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

from gantry.commands.resume import check_start, place_run, resumed
from gantry.config import resolvers
from gantry.config.compose import CONFIGS, compose, settled
from gantry.distributed import environment
from gantry.errors import RunError, UserError, failures, mistakes, one_line

Task = Callable[[DictConfig], Any]


def entry(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make a function of a configuration a command: mistakes of the user end in one line and exit status 2."""

    def decorate(task: Task) -> Callable[[], None]:
        def main() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here whole; bugs keep their traceback
            resolvers.register()
            share_schemas()
            try:
                with mistakes():
                    environment.adopt_srun()
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
        try:
            with mistakes():
                if isinstance(cfg.get("run"), DictConfig):  # a command that makes a run, not one that reads one
                    environment.adopt_srun()  # a launcher may have brought this job here
                    place_run(cfg)
                settled(cfg)
            with failures():
                return task(cfg)
        except (UserError, RunError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            fail(error) if isinstance(error, RunError) else refuse(error)  # here: Hydra's own line would precede ours

    return run


def refuse_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; a sweep's jobs, and further ranks, do it when they begin."""
    sweep = bool({"-m", "--multirun"} & set(argv))
    if sweep and environment.place().size > 1:
        raise ValueError(
            f"a sweep must start its processes itself (trainer=ddp), got {environment.place().size} of them"
        )
    if sweep:
        share_source()
    if environment.PARENT in os.environ or environment.started() or any(word.startswith("-") for word in argv):
        return
    cfg = compose(config_name, argv)
    launcher = cfg.hydra.runtime.choices.get("launcher", "basic")
    if launcher != "basic":
        raise ValueError(f"launcher must be basic for a single run (-m makes a sweep, of one job too), got {launcher}")
    if searched := cfg.hydra.runtime.choices.get("hparams_search"):
        raise ValueError(f"hparams_search must be null for a single run (-m makes a search), got {searched}")
    if isinstance(settled(cfg).get("run"), DictConfig):
        check_start(cfg)


def share_schemas() -> None:
    """Let Hydra look up its own schemas where they are; else it copies them all for each group that `--help` lists.

    What it takes from there it copies anyway.
    """
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]  # noqa: ARG005


def share_source() -> None:
    """Let the processes that a launcher starts import what this one can."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
