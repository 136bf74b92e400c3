"""Where Hydra looks for sweepers: this one asks Optuna what to try next. The work is done in gantry.sweeps.search."""

from importlib.util import find_spec
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Search(Sweeper):
    """Its settings are the keys of configs/hydra/sweeper/search.yaml, which are looked at when the sweep begins."""

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher

    def __init__(self, **_: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        if find_spec("optuna") is None:
            from gantry.errors import UserError

            name = self.config.hydra.runtime.choices.get("hparams_search")
            raise UserError(f'hparams_search must be installed (pip install "gantry[search]"), got {name}')
        from gantry.sweeps.search.sweeper import run_search  # Optuna, which other commands need not wait for

        run_search(self.config, self.hydra_context.config_loader, self.launcher, arguments)
