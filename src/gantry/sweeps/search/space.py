"""The space of a search: from Hydra's syntax for sweeps to Optuna's distributions, and back to overrides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

ParamValues = Mapping[str, Any]
NON_EXPERIMENT_GROUPS = (
    "run",
    "hydra",
    "launcher",
    "logger",
    "tags",
    "trust",
    "trainer",
    "hardware",
    "paths",
    "callbacks",
    "resume",
    "hparams_search",
)


@dataclass(frozen=True)
class SearchSpace:
    """The values that each key may take, as `distributions` and as the `expressions` of the user; overrides of all
    trials."""

    distributions: Mapping[str, BaseDistribution]
    expressions: Mapping[str, str]
    fixed_overrides: tuple[str, ...]

    @property
    def experiment_overrides(self) -> list[str]:
        """Return the fixed overrides that the score of a trial depends on."""
        return sorted(word for word in self.fixed_overrides if get_top_level_key(word) not in NON_EXPERIMENT_GROUPS)

    def to_overrides(self, point: ParamValues) -> list[str]:
        """Return a point as overrides, after those of all trials."""
        return [*self.fixed_overrides, *self.swept_overrides(point)]

    def swept_overrides(self, point: ParamValues) -> list[str]:
        """Return a point as overrides: `optim.D.lr=0.001`."""
        return [f"{key}={point[key]}" for key in self.distributions]

    def iter_examples(self) -> Iterator[ParamValues]:
        """Yield points that together have every choice, and the middle of each interval."""
        choices = [one.choices for one in self.distributions.values() if isinstance(one, CategoricalDistribution)]
        for i in range(max(map(len, choices), default=1)):
            yield {key: get_example_value(one, i) for key, one in self.distributions.items()}


def get_top_level_key(word: str) -> str:
    """Return the first name in the key of an override: `run` of `run.name=X`."""
    return word.lstrip("+~").partition("=")[0].partition(".")[0].partition("/")[0]


def parse_search_space(overrides: Sequence[Override]) -> SearchSpace:
    """Return the search space of overrides; the last one of a key counts. Raises ValueError without any."""
    by_key = {override.get_key_element(): override for override in overrides}
    swept = {key: one for key, one in by_key.items() if one.is_sweep_override()}
    if not swept:
        raise ValueError(
            "hparams_search must have keys to search, such as 'optim.D.lr=tag(log,interval(1e-5,1e-2))' "
            "or those in hydra.sweeper.params, got none"
        )
    expressions = {key: one.get_value_string() for key, one in swept.items()}
    fixed = tuple(one.input_line or "" for key, one in by_key.items() if key not in swept)
    return SearchSpace({key: make_distribution(key, one) for key, one in swept.items()}, expressions, fixed)


def make_distribution(key: str, override: Override) -> BaseDistribution:
    """Return the distribution that Optuna samples; choices are texts as in an override. Raises ValueError."""
    value = override.value()
    assert isinstance(value, Sweep)
    log = "log" in value.tags
    try:
        if isinstance(value, IntervalSweep):
            return make_number_distribution(value.start, value.end, None, log)
        if isinstance(value, RangeSweep):
            listed: list[Any] = list(override.sweep_iterator())
            return make_number_distribution(min(listed), max(listed), abs(value.step), log)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        wanted = "an interval, a range or choices that Optuna can search"
        raise ValueError(f"{key} must be {wanted}, got {override.get_value_string()}: {error}") from None


def make_number_distribution(low: Any, high: Any, step: Any, log: bool) -> BaseDistribution:
    """Return a distribution over numbers from low to high, both included; over integers if both are."""
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def get_example_value(one: BaseDistribution, i: int) -> Any:
    """Return a value that a key may take: the i-th choice, or the middle of an interval."""
    if isinstance(one, CategoricalDistribution):
        return one.choices[i % len(one.choices)]
    assert isinstance(one, FloatDistribution | IntDistribution)
    return one.low if isinstance(one, IntDistribution) or one.step else (one.low + one.high) / 2


def suggest_value(trial: Trial, key: str, one: BaseDistribution) -> Any:
    """Return the value of a key in a trial, which the sampler chooses if the trial has none."""
    if isinstance(one, CategoricalDistribution):
        return trial.suggest_categorical(key, one.choices)
    if isinstance(one, IntDistribution):
        return trial.suggest_int(key, one.low, one.high, step=one.step, log=one.log)
    assert isinstance(one, FloatDistribution)
    return trial.suggest_float(key, one.low, one.high, step=one.step, log=one.log)
