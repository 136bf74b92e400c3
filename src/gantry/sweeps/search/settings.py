"""The settings of a search: how many trials, how many at a time, and who chooses them."""

import math
from collections.abc import Sized
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig
from optuna.samplers import BaseSampler

from gantry.config.instantiate import build
from gantry.config.rules import RULES, Rule, real, whole
from gantry.config.signatures import arguments
from gantry.config.validate import check_arguments, obey
from gantry.distributed.environment import cores
from gantry.sweeps.search.space import Space
from gantry.sweeps.search.study import quieten

KEY = "hydra.sweeper"
AT_ONCE: Rule = ("an integer of at least 1, or -1 for all cores", lambda v: type(v) is int and (v == -1 or v >= 1))


@dataclass(frozen=True)
class Settings:
    """`trials` in all, `at_once` of them in a batch, none begun after `seconds`; `node` describes the sampler."""

    trials: int
    seconds: float
    at_once: int
    node: DictConfig
    space: Space

    def sampler(self, number: int) -> BaseSampler:
        """Who chooses trial `number`: with a seed of its own, so that a search that goes on repeats no trial."""
        quieten()
        return build(self.node, **own_arguments(self.node, self.space, number))


def settings_of(config: DictConfig, space: Space) -> Settings:
    """What the configuration says of a search. Raises ValueError naming the key."""
    node = config.hydra.sweeper
    check_arguments(config, f"{KEY}.sampler", node.sampler)
    if node.sampler.get("seed") is not None:
        obey(config, f"{KEY}.sampler.seed", node.sampler.seed, RULES["seed"])
    obey(config, f"{KEY}.n_jobs", node.n_jobs, AT_ONCE)
    if node.timeout is not None:
        obey(config, f"{KEY}.timeout", node.timeout, real(0))
    made = Settings(0, 0.0, 0, node.sampler, space).sampler(0)
    most = len(made) if isinstance(made, Sized) else None
    if node.n_trials is not None or most is None:
        obey(config, f"{KEY}.n_trials", node.n_trials, whole(1))
    trials = min(count for count in (node.n_trials, most) if count is not None)
    seconds = math.inf if node.timeout is None else float(node.timeout)
    return Settings(trials, seconds, cores() if node.n_jobs == -1 else node.n_jobs, node.sampler, space)


def own_arguments(node: DictConfig, space: Space, number: int) -> dict[str, object]:
    """Arguments of a sampler that only the program knows: the space, if it takes one, and a seed for each trial."""
    own: dict[str, object] = {}
    if "space" in (arguments(str(node["_target_"])) or {}):
        own["space"] = space.swept
    if node.get("seed") is not None:
        own["seed"] = int(np.random.SeedSequence([node.seed, number]).generate_state(1)[0])
    return own
