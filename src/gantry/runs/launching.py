"""How the jobs of a sweep share this machine, said before they begin."""

import os
import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from gantry.runs.ranks import cores
from gantry.runs.rules import count_of


class BeforeSweep(Callback):
    """Hydra calls it once, before the first job of a sweep."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        said = sharing(config, cores())
        if said is not None:
            print(said, file=sys.stderr)


def sharing(config: DictConfig, there: int) -> str | None:
    """What is to be said of jobs that run at a time on this machine; None of those that run one by one or elsewhere."""
    at_once = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if at_once is None:
        return None
    at_once = there if at_once < 0 else at_once
    count = count_of(config.trainer.devices) or 1
    threads = int(os.environ.get("OMP_NUM_THREADS", max(1, there // at_once)))
    taken = at_once * max(count, threads)
    said = f"joblib: {at_once} jobs at a time, each of {count} processes and {max(count, threads)} threads"
    if taken > there:
        return f"warning: {said}: {taken} on {there} cores, which slows all of them (hydra.launcher.n_jobs=N for fewer)"
    return f"{said}, on {there} cores"
