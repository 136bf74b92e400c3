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
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gantry.runs import ranks, resolvers
from gantry.runs.composition import compose, settled
from gantry.runs.errors import RunError, UserError, failures, mistakes, one_line
from gantry.runs.lock import check_alone
from gantry.runs.run_folder import check_new, check_resumable, has_checkpoint, read_config
from gantry.runs.shorthand import CONFIGS

OF_ONE_START = ("resume", "run.name", "run.dir", "run.auto_resume", "launcher")
OF_A_SEARCH = ("hparams_search", "callbacks.pruning")  # of which a run that is resumed alone is no longer a part
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
                    ranks.adopt_srun()
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
                    ranks.adopt_srun()  # a launcher may have brought this job here
                    place_run(cfg)
                settled(cfg)
            with failures():
                return task(cfg)
        except (UserError, RunError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            fail(error) if isinstance(error, RunError) else refuse(error)  # here: Hydra's own line would precede ours

    return run


def place_run(cfg: DictConfig) -> None:
    """Write into the configuration where the run is, what it was told and, if it is to go on by itself, from where."""
    hydra_config = HydraConfig.get()
    again = goes_on(cfg, sweep=hydra_config.mode == RunMode.MULTIRUN)
    with open_dict(cfg):
        cfg.run.dir = hydra_config.runtime.output_dir
        cfg.run.overrides = [word for word in hydra_config.overrides.task if not_of_one_start(word)]
        cfg.run.auto_resume = again
        if again and not cfg.resume and has_checkpoint(Path(cfg.run.dir)):
            cfg.resume = cfg.run.dir
        name_run(cfg)


def name_run(cfg: DictConfig) -> None:
    """Write down what the loggers call the run: a job of a sweep is in a group of its name, unless told another.

    A job that is gone on with, by itself, is called as before.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        sweep = Path(hydra_config.sweep.dir).name
        cfg.run.group = cfg.run.group or sweep
        cfg.run.name = f"{sweep}/{Path(cfg.run.dir).name}"
    elif cfg.resume:
        before = read_config(Path(cfg.resume)).run
        cfg.run.name, cfg.run.group = before.name, cfg.run.group or before.get("group")


def goes_on(cfg: DictConfig, sweep: bool = False) -> bool:
    """Whether a run that is there already goes on without being told its folder; so does what torchrun restarts.

    With a name of one's own choice torchrun could as well have restarted what was refused for being there.
    """
    unnamed = all(OmegaConf.is_interpolation(cfg.run, key) for key in ("name", "dir"))
    if cfg.run.auto_resume and unnamed and not sweep and ranks.lasting_name() is None:
        raise ValueError("run.name must be given with run.auto_resume=true, or each start makes a new run, got none")
    return bool(cfg.run.auto_resume) or (unnamed and ranks.restarted())


def not_of_one_start(word: str) -> bool:
    """Whether an override belongs to the run, and not to where and how this process began."""
    key = word.lstrip("+").partition("=")[0]
    return not key.startswith(OF_A_SEARCH) and key not in OF_ONE_START


def refuse_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; a sweep's jobs, and further ranks, do it when they begin."""
    sweep = bool({"-m", "--multirun"} & set(argv))
    if sweep and ranks.place().size > 1:
        raise ValueError(f"a sweep must start its processes itself (trainer=ddp), got {ranks.place().size} of them")
    if sweep:
        share_source()
    if ranks.PARENT in os.environ or ranks.started() or any(word.startswith("-") for word in argv):
        return
    cfg = compose(config_name, argv)
    launcher = cfg.hydra.runtime.choices.get("launcher", "basic")
    if launcher != "basic":
        raise ValueError(f"launcher must be basic for a single run (-m makes a sweep, of one job too), got {launcher}")
    if searched := cfg.hydra.runtime.choices.get("hparams_search"):
        raise ValueError(f"hparams_search must be null for a single run (-m makes a search), got {searched}")
    if isinstance(settled(cfg).get("run"), DictConfig):
        check_start(cfg)


def check_start(cfg: DictConfig) -> None:
    """The folder of the run is new, or holds what is to go on; and no other process is at it."""
    folder = Path(cfg.resume or cfg.run.dir)
    if cfg.resume or (goes_on(cfg) and has_checkpoint(folder)):
        check_resumable(cfg, folder)
    elif not goes_on(cfg):
        check_new(folder)
    check_alone(folder)


def share_schemas() -> None:
    """Let Hydra look up its own schemas where they are; else it copies them all for each group that `--help` lists.

    What it takes from there it copies anyway.
    """
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]  # noqa: ARG005


def share_source() -> None:
    """Let the processes that a launcher starts import what this one can."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def resumed(argv: list[str]) -> list[str]:
    """`resume=FOLDER` stands for the overrides that the run was started with; what is said now is added."""
    folder = next((word.partition("=")[2] for word in argv if word.startswith("resume=")), "")
    if folder in ("", "null"):
        return argv
    before = read_config(Path(folder)).run.overrides
    said = {word.partition("=")[0].lstrip("+~") for word in argv}
    kept = [word for word in before if word.partition("=")[0].lstrip("+~") not in said]
    name = Path(folder).resolve().name.replace("'", "\\'")  # in quotes: a job's is a number
    return [*kept, *argv, f"run.name='{name}'", f"hydra.run.dir={folder}"]
