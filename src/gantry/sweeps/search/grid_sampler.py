"""Grid sampler of a search. It is Gantry's own because Optuna's only works inside Optuna's loop."""

import itertools
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class GridSampler(BaseSampler):
    """Give trial i point i of the product of all values, the last key changing fastest, so that no state is stored.

    Raises ValueError for a key whose values cannot be listed.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.keys = list(space)
        values = [list_grid_values(key, distribution) for key, distribution in space.items()]
        self.points = list(itertools.product(*values))

    def __len__(self) -> int:
        return len(self.points)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, key: str, distribution: BaseDistribution) -> Any:
        return self.points[trial.number][self.keys.index(key)]


def list_grid_values(key: str, distribution: BaseDistribution) -> list[Any]:
    """Return the values of a key in order. Raises ValueError if there are infinitely many."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None:
        raise ValueError(f"{key} must be a choice or a range in a grid, got interval({low:g},{high:g})")
    count = round((high - low) / step) + 1
    return [float(f"{low + i * step:.12g}") for i in range(count)]  # 0.3, not 0.30000000000000004
