"""Gantry's own Optuna sweeper for Hydra, because the published one needs optuna < 3 and cannot prune."""

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
from gantry.distributed import environment
from gantry.errors import format_error, user_errors
from gantry.runs.layout import MULTIRUN_FILE
from gantry.runs.lock import lock_run_folder
from gantry.sweeps.search.loop import SearchLoop
from gantry.sweeps.search.settings import read_search_settings
from gantry.sweeps.search.space import SearchSpace, parse_search_space
from gantry.sweeps.search.study import check_search_folder, create_or_load_study

INTEGER_HINT = "int(interval(a,b)) and range(a,b) are whole numbers"


def run_search(config: DictConfig, loader: ConfigLoader, launcher: Launcher, arguments: list[str]) -> None:
    """Run the search that `config` describes, or resume it where an earlier process stopped.

    User errors are raised before any file is written.
    """
    folder = Path(config.hydra.sweep.dir)
    with user_errors():
        check_single_process()
        params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        space = parse_search_space(OverridesParser.create(config_loader=loader).parse_overrides([*params, *arguments]))
        settings = read_search_settings(config, space)
        check_new_runs(config)
        cfg = compose_first_valid(space, lambda overrides: loader.load_sweep_config(config, overrides))
        facts = make_study_facts(cfg, space)
        check_search_folder(folder)
        check_job_subdir(config)
    with ExitStack() as stack:
        with user_errors():
            stack.enter_context(lock_search_folder(folder))
            study = create_or_load_study(folder, facts)
        OmegaConf.save(config, folder / MULTIRUN_FILE)
        SearchLoop(study, space, settings, folder, launcher.launch).run()


def check_single_process() -> None:
    """Raise ValueError in a process of torchrun or srun: each of them would run the whole search."""
    if (count := environment.read_ranks().world_size) > 1:
        raise ValueError(f"a search must start its processes itself (trainer=ddp), got {count} of them")


def check_new_runs(config: DictConfig) -> None:
    """Raise ValueError for `resume`, which names a single run; a search is resumed by its `run.name`."""
    if config.resume:
        raise ValueError(f"resume must be null for a search (the same run.name resumes it), got {config.resume}")


@contextmanager
def lock_search_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from searching in this folder. Raises ValueError if one already does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_run_folder(folder))
        except ValueError:
            rule = "run.name must be the name of a search that is not running"
            raise ValueError(f"{rule}, got {folder}, which another process uses") from None
        yield


def compose_first_valid(space: SearchSpace, compose: Callable[[list[str]], DictConfig]) -> DictConfig:
    """Return the first valid configuration among the examples of the space; raise the first error if there is none.

    An invalid value only makes its own trials fail, but an invalid key would make all trials fail.
    """
    errors = []
    for point in space.iter_examples():
        try:
            return finalize_config(compose(space.to_overrides(point)))
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            errors.append(error)
    message = format_error(errors[0])
    expects_integer = any(message.startswith(f"{key} must be an integer") for key in space.distributions)
    raise ValueError(f"{message} ({INTEGER_HINT})" if expects_integer else message)


def check_job_subdir(config: DictConfig) -> None:
    """Raise ValueError unless the folder of a job is its number, by which a run finds its trial."""
    sweep: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    if sweep["subdir"] != "${hydra.job.num}":
        raise ValueError(f"hydra.sweep.subdir must be the number of the job in a search, got {sweep['subdir']}")


def make_study_facts(cfg: DictConfig, space: SearchSpace) -> Mapping[str, Any]:
    """Return what all trials have in common. Raises ValueError if there is no score to optimise."""
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
