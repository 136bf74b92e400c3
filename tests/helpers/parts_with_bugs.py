"""Parts of a user that raise ValueError: as bugs where they compute, as a refusal where one is constructed."""

from typing import Any, ClassVar

from lightning import Callback
from torch import Tensor

from gantry.metrics.score import MinimumSamples, Requirement
from gantry.metrics.statistics import FeatureSet
from gantry.nets import mlp


class Generator(mlp.Generator):
    """A generator whose forward fails."""

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        raise ValueError("bug in forward")


class GeneratorOfEvenSeeds(mlp.Generator):
    """A generator that refuses, in its constructor, what its user has configured."""

    def __init__(self, seed: int, **kwargs: Any) -> None:
        raise ValueError(f"model.G.seed must be even, got {seed}")


class Score:
    """A score that fails."""

    requirements: ClassVar[Requirement] = Requirement.STATISTICS

    def minimum_samples(self, features: int) -> MinimumSamples:
        return MinimumSamples(1)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        return ("mine",)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        raise ValueError("bug in the score")


class FailingCallback(Callback):
    """A callback that fails at the end of the first turn."""

    def on_train_batch_end(self, *args: Any) -> None:
        raise ValueError("bug in the callback")
