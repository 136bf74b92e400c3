"""Searches without any training: jobs that write the folder of a run at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR
from gantry.runs.folder import write_config
from gantry.runs.status import write_job_failure, write_job_start
from gantry.runs.summary import write_summary
from gantry.sweeps.search.sweeper import run_search

LR_SWEEP = "optim.D.lr=tag(log,interval(1e-5,1e-1))"
SEARCH_OVERRIDES = ["run.name=S", "model=mlp", "data=ring"]


@dataclass
class FakeLauncher:
    """A launcher whose jobs are best at a rate of 1e-3; `wrong` ones fail, and before `dies` it is killed."""

    sweep_folder: Path
    failing: Sequence[int] = ()
    killed_before: int = -1
    launches: list[tuple[int, int]] = field(default_factory=list)  # first job and number of jobs
    learning_rates: dict[int, float] = field(default_factory=dict)

    def launch(self, overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        self.launches.append((initial_job_idx, len(overrides)))
        for number, words in enumerate(overrides, initial_job_idx):
            assert words[-1] == "run.auto_resume=true"
            self.run_job(number, dict(word.split("=", 1) for word in words))

    def run_job(self, number: int, options: dict[str, str]) -> None:
        folder = self.sweep_folder / str(number)
        write_job_start(folder, {})
        write_config(OmegaConf.create({"turns": 10}), folder)
        if number == self.killed_before:
            self.killed_before = -1
            raise KeyboardInterrupt
        self.learning_rates[number] = float(options["optim.D.lr"])
        if number in self.failing:
            write_job_failure(folder, [], "nothing but trouble")
        else:
            value = -abs(math.log10(self.learning_rates[number]) + 3)
            write_summary(folder, {"best": {"scores": {"overlap": value}}, "turns": 10})


def search_in_process(*words: str, launch: Callable[..., Any]) -> None:
    """Run a search as `python src/train.py -m` does with these overrides, with another launcher."""
    resolvers.register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        state = GlobalHydra.instance().hydra
        assert state is not None
        config = state.config_loader.load_configuration("train", [*SEARCH_OVERRIDES, *words], run_mode=RunMode.MULTIRUN)
        options = list(config.hydra.overrides.task)
        launcher: Any = SimpleNamespace(launch=lambda jobs, initial_job_idx: launch(jobs, initial_job_idx))
        run_search(config, state.config_loader, launcher, options)
