"""All points of a grid, one after the other."""

import itertools
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class GridSampler(BaseSampler):
    """Trial i is point i of the product of all values, the last key changing fastest: nothing has to be remembered.

    Raises ValueError for a key whose values cannot be listed. Optuna's own grid asks to be run by Optuna's loop.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.keys = list(space)
        self.points = list(itertools.product(*(list_grid_values(key, one) for key, one in space.items())))

    def __len__(self) -> int:
        return len(self.points)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, key: str, one: BaseDistribution) -> Any:
        return self.points[trial.number][self.keys.index(key)]


def list_grid_values(key: str, one: BaseDistribution) -> list[Any]:
    """The values that a key may have, in their order. Raises ValueError where there is no end to them."""
    if isinstance(one, CategoricalDistribution):
        return list(one.choices)
    if isinstance(one, IntDistribution):
        return list(range(one.low, one.high + 1, one.step))
    assert isinstance(one, FloatDistribution)
    if one.step is None:
        raise ValueError(f"{key} must be a choice or a range in a grid, got interval({one.low:g},{one.high:g})")
    count = round((one.high - one.low) / one.step) + 1
    return [float(f"{one.low + i * one.step:.12g}") for i in range(count)]  # 0.3, not 0.30000000000000004
