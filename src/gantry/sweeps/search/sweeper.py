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

from gantry.config.compose import finalize_config
from gantry.config.rules import is_left_out
from gantry.errors import format_error, user_errors
from gantry.runs.layout import MULTIRUN_FILE
from gantry.runs.lock import lock_run_folder
from gantry.sweeps.search.loop import SearchLoop
from gantry.sweeps.search.settings import read_search_settings
from gantry.sweeps.search.space import SearchSpace, parse_search_space
from gantry.sweeps.search.study import check_search_folder, create_or_load_study

INTEGER_HINT = "int(interval(a,b)) and range(a,b) are whole numbers"


def run_search(config: DictConfig, loader: ConfigLoader, launcher: Launcher, arguments: list[str]) -> None:
    """Search as configured, going on where an earlier start of the same search stopped.

    What the user got wrong is told before any file is written.
    """
    folder = Path(config.hydra.sweep.dir)
    with user_errors():
        words = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        space = parse_search_space(OverridesParser.create(config_loader=loader).parse_overrides([*words, *arguments]))
        settings = read_search_settings(config, space)
        about = make_study_facts(compose_first_valid(space, lambda told: loader.load_sweep_config(config, told)), space)
        check_search_folder(folder)
        check_job_subdir(config)
    with ExitStack() as stack:
        with user_errors():
            stack.enter_context(lock_search_folder(folder))
            study = create_or_load_study(folder, about)
        OmegaConf.save(config, folder / MULTIRUN_FILE)
        SearchLoop(study, space, settings, folder, launcher.launch).run()


@contextmanager
def lock_search_folder(folder: Path) -> Iterator[None]:
    """Inside, no other process searches in this folder. Raises ValueError if one does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_run_folder(folder))
        except ValueError:
            raise ValueError(f"run.name must be that of a search that has ended, got {folder}, which goes on") from None
        yield


def compose_first_valid(space: SearchSpace, compose: Callable[[list[str]], DictConfig]) -> DictConfig:
    """The configuration of the first example that is valid. Raises the error of the first, should none be.

    One value that is wrong makes its trials fail; a key that is wrong would make all fail.
    """
    errors = []
    for point in space.iter_examples():
        try:
            cfg = finalize_config(compose(space.to_overrides(point)))
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            errors.append(error)
        else:
            return cfg
    said = format_error(errors[0])
    whole = any(said.startswith(f"{key} must be an integer") for key in space.distributions)
    raise ValueError(f"{said} ({INTEGER_HINT})" if whole else said)


def check_job_subdir(config: DictConfig) -> None:
    """Raise ValueError unless the folder of a job bears its number, by which a run finds its trial."""
    plain: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    if plain["subdir"] != "${hydra.job.num}":
        raise ValueError(f"hydra.sweep.subdir must be the number of the job in a search, got {plain['subdir']}")


def make_study_facts(cfg: DictConfig, space: SearchSpace) -> Mapping[str, Any]:
    """What all trials have in common. Raises ValueError without a score to search for."""
    monitor = OmegaConf.select(cfg, "metrics.monitor")
    if monitor is None:
        raise ValueError("metrics.monitor must be the score to search for (metrics=none has no score), got null")
    if is_left_out(OmegaConf.select(cfg, "callbacks.evaluate")):
        raise ValueError("callbacks.evaluate must be there for a search, which looks at its scores, got null")
    return {
        "metric": str(monitor),
        "mode": str(cfg.metrics.mode),
        "space": dict(space.expressions),
        "experiment": space.experiment_overrides,
    }
