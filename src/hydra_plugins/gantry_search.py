"""The Hydra plugin `search`: Gantry's own Optuna sweeper, because the published one needs optuna < 3 and cannot prune.

Hydra finds sweepers in this package; the code is in gantry.sweeps.search.
"""

from importlib.util import find_spec
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Search(Sweeper):
    """Search with the settings of configs/hydra/sweeper/search.yaml, which are validated when the sweep starts."""

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
        from gantry.sweeps.search.sweeper import run_search  # imports Optuna, which other commands do not need

        run_search(self.config, self.hydra_context.config_loader, self.launcher, arguments)
