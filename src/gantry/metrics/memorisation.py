"""Measure how often the generator repeats its training images. Samples are compared with held-out real images, which
are near to training images only by chance (Meehan, Chaudhuri and Dasgupta 2020)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.nearest_neighbours import find_nearest_neighbours
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet


@dataclass(frozen=True)
class Memorisation:
    """`nearer` and `copies`, or `..._<extractor>`: about 0.5 and `quantile` for a generator that is as near to its
    training images as held-out images are, 1 and 1 for one that copies; lower values are no merit in themselves:
    samples far from all images have 0 and 0. The real features must be those of the training images; where the training
    mirrors images, a copy of a mirrored one is a copy.
    """

    quantile: float = 0.01
    requirements: ClassVar[Requirement] = Requirement.FEATURES | Requirement.HELD_OUT

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile of memorisation must be between 0 and 1, got {self.quantile}")

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return as many held-out images as make the quantile one image at least."""
        return MinimumSamples(1, held_out=math.ceil(1 / self.quantile) - 1)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the two names."""
        return make_metric_name("nearer", extractor), make_metric_name("copies", extractor)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:
        assert real.features is not None
        assert real.held_out_features is not None
        assert fake.features is not None
        self._check_quantile(len(real.held_out_features))
        training = get_training_features(real)
        held_out, _ = find_nearest_neighbours(real.held_out_features, training)
        samples, _ = find_nearest_neighbours(fake.features, training)
        return fraction_nearer(samples, held_out), fraction_of_copies(samples, held_out, self.quantile)

    def _check_quantile(self, held_out: int) -> None:
        if not 1 <= self.quantile * (held_out + 1) < held_out + 1:
            raise UserError(
                f"quantile of memorisation must be at least 1 / {held_out + 1}, with {held_out} held-out images, "
                f"and less than 1, got {self.quantile}"
            )


def get_training_features(real: FeatureSet) -> Tensor:
    """Return the features of all images that D is trained on: [N, F], or [2 N, F] with the mirrored ones."""
    assert real.features is not None
    return real.features if real.flipped_features is None else torch.cat([real.features, real.flipped_features])


def fraction_nearer(samples: Tensor, held_out: Tensor) -> float:
    """Return the probability that a sample's distance [N] to the training images is less than a held-out image's [M],
    equal ones counting one half: the statistic U of Mann and Whitney over N M."""
    held_out = held_out.sort().values
    less, at_most = (torch.searchsorted(held_out, samples, right=right) for right in (False, True))
    return 1 - float((less + at_most).double().mean()) / (2 * len(held_out))


def fraction_of_copies(samples: Tensor, held_out: Tensor, quantile: float) -> float:
    """Return the share of the samples whose distance [N] is less than those of all but a `quantile` of the held-out
    images [M], counting the sample itself among them. By chance it is at most `quantile`."""
    rank = 1 + torch.searchsorted(held_out.sort().values, samples, right=True)
    return float((rank <= quantile * (len(held_out) + 1)).double().mean())
