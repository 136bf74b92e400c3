"""A search from Hydra's point of view: a sweep whose jobs are chosen one batch after the other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gantry.config.compose import settled
from gantry.errors import mistakes, one_line
from gantry.runs.lock import alone_in
from gantry.sweeps.search.loop import Searching
from gantry.sweeps.search.settings import settings_of
from gantry.sweeps.search.space import Space, space_of
from gantry.sweeps.search.study import begin_study, check_folder

WHOLE = "int(interval(a,b)) and range(a,b) are whole numbers"


def sweep(config: DictConfig, loader: ConfigLoader, launcher: Launcher, arguments: list[str]) -> None:
    """Search as configured, going on where an earlier start of the same search stopped.

    What the user got wrong is told before any file is written.
    """
    folder = Path(config.hydra.sweep.dir)
    with mistakes():
        words = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        space = space_of(OverridesParser.create(config_loader=loader).parse_overrides([*words, *arguments]))
        settings = settings_of(config, space)
        about = about_of(tried(space, lambda told: loader.load_sweep_config(config, told)), space)
        check_folder(folder)
        check_numbers(config)
    with ExitStack() as stack:
        with mistakes():
            stack.enter_context(alone(folder))
            study = begin_study(folder, about)
        OmegaConf.save(config, folder / "multirun.yaml")
        Searching(study, space, settings, folder, launcher.launch).run()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, no other process searches in this folder. Raises ValueError if one does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone_in(folder))
        except ValueError:
            raise ValueError(f"run.name must be that of a search that has ended, got {folder}, which goes on") from None
        yield


def tried(space: Space, compose: Callable[[list[str]], DictConfig]) -> DictConfig:
    """The configuration of the first example that is valid. Raises the error of the first, should none be.

    One value that is wrong makes its trials fail; a key that is wrong would make all fail.
    """
    errors = []
    for point in space.examples():
        try:
            cfg = settled(compose(space.words(point)))
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            errors.append(error)
        else:
            return cfg
    said = one_line(errors[0])
    whole = any(said.startswith(f"{key} must be an integer") for key in space.swept)
    raise ValueError(f"{said} ({WHOLE})" if whole else said)


def check_numbers(config: DictConfig) -> None:
    """Raise ValueError unless the folder of a job bears its number, by which a run finds its trial."""
    plain: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    if plain["subdir"] != "${hydra.job.num}":
        raise ValueError(f"hydra.sweep.subdir must be the number of the job in a search, got {plain['subdir']}")


def about_of(cfg: DictConfig, space: Space) -> Mapping[str, Any]:
    """What all trials have in common. Raises ValueError without a score to search for."""
    monitor = OmegaConf.select(cfg, "metrics.monitor")
    if monitor is None:
        raise ValueError("metrics.monitor must be the score to search for (metrics=none has no score), got null")
    if OmegaConf.select(cfg, "callbacks.evaluate") is None:
        raise ValueError("callbacks.evaluate must be there for a search, which looks at its scores, got null")
    return {
        "metric": str(monitor),
        "mode": str(cfg.metrics.mode),
        "space": dict(space.said),
        "experiment": space.experiment,
    }
