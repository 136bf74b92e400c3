"""The settings of a search: number of trials, trials at a time, timeout and sampler."""

import math
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig
from optuna.samplers import BaseSampler

from gantry.config.instantiate import build
from gantry.config.rules import SEED_RULE, Rule, integer_at_least, number_at_least
from gantry.config.signatures import read_arguments
from gantry.config.validate import check_rule, check_target_arguments
from gantry.distributed.environment import count_cores
from gantry.sweeps.search.space import SearchSpace
from gantry.sweeps.search.study import silence_optuna

SWEEPER_KEY = "hydra.sweeper"
N_JOBS_RULE: Rule = ("an integer of at least 1, or -1 for all cores", lambda v: type(v) is int and (v == -1 or v >= 1))


@dataclass(frozen=True)
class SearchSettings:
    """`n_trials` in total, `n_jobs` of them in a batch, none started after `timeout` seconds."""

    n_trials: int
    timeout: float
    n_jobs: int
    sampler_config: DictConfig
    space: SearchSpace

    def make_sampler(self, number: int) -> BaseSampler:
        """Return the sampler of one trial, with a seed of its own, so that a resumed search repeats no trial."""
        silence_optuna()
        return build(self.sampler_config, **make_sampler_arguments(self.sampler_config, self.space, number))


def read_search_settings(config: DictConfig, space: SearchSpace) -> SearchSettings:
    """Read the settings from the configuration. Raises ValueError naming the key."""
    node = config.hydra.sweeper
    check_target_arguments(config, f"{SWEEPER_KEY}.sampler", node.sampler)
    if node.sampler.get("seed") is not None:
        check_rule(config, f"{SWEEPER_KEY}.sampler.seed", node.sampler.seed, SEED_RULE)
    check_rule(config, f"{SWEEPER_KEY}.n_jobs", node.n_jobs, N_JOBS_RULE)
    if node.timeout is not None:
        check_rule(config, f"{SWEEPER_KEY}.timeout", node.timeout, number_at_least(0))
    sampler = SearchSettings(0, 0.0, 0, node.sampler, space).make_sampler(0)
    grid_size = len(sampler) if isinstance(sampler, Sized) else None
    if node.n_trials is not None or grid_size is None:
        check_rule(config, f"{SWEEPER_KEY}.n_trials", node.n_trials, integer_at_least(1))
    n_trials = min(count for count in (node.n_trials, grid_size) if count is not None)
    timeout = math.inf if node.timeout is None else float(node.timeout)
    return SearchSettings(n_trials, timeout, count_cores() if node.n_jobs == -1 else node.n_jobs, node.sampler, space)


def make_sampler_arguments(node: DictConfig, space: SearchSpace, number: int) -> dict[str, Any]:
    """Return the arguments that are not in the configuration: the space, if the sampler takes one, and the seed."""
    arguments: dict[str, Any] = {}
    if "space" in (read_arguments(str(node["_target_"])) or {}):
        arguments["space"] = space.distributions
    if node.get("seed") is not None:
        arguments["seed"] = int(np.random.SeedSequence([node.seed, number]).generate_state(1)[0])
    return arguments
