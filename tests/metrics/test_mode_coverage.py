import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from gantry.metrics.mode_coverage import (
    ClassModeCoverage,
    MixtureModeCoverage,
    count_samples_per_mode,
    kl_from_uniform,
    make_mixture_mode_coverage,
    overlap_with_uniform,
)
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.statistics import FeatureSet
from gaussians import accumulate_features, seeded_randn

SQUARE = MixtureModeCoverage(centres=((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)), sigma=0.1)


def score(x: Tensor) -> dict[str, float]:
    fake = FeatureSet(accumulate_features(x), features=x)
    return dict(zip(SQUARE.metric_names("points"), SQUARE(fake, fake)))


def test_samples_at_the_centres_are_perfect() -> None:
    x = torch.tensor(SQUARE.centres).repeat(5, 1)
    assert score(x) == {"overlap": 1.0, "modes": 4.0, "high_quality": 1.0, "kl": pytest.approx(0, abs=1e-12)}


def test_true_samples_miss_the_tails_of_three_deviations() -> None:
    x = torch.tensor(SQUARE.centres).repeat(20_000, 1) + 0.1 * seeded_randn(80_000, 2, seed=0)
    expected = 1 - math.exp(-(3**2) / 2)  # a Rayleigh variable is below 3
    assert score(x)["high_quality"] == pytest.approx(expected, abs=2e-3)
    assert score(x)["overlap"] == pytest.approx(expected, abs=2e-3)


def test_a_collapsed_generator_covers_one_mode_in_perfect_quality() -> None:
    x = torch.tensor([[1.0, 1.0]]).repeat(8, 1)
    assert score(x) == {"overlap": 0.25, "modes": 1.0, "high_quality": 1.0, "kl": pytest.approx(math.log(4))}


def test_samples_between_the_modes_are_of_none() -> None:
    x = torch.tensor(SQUARE.centres) * 0.5
    assert score(x) == {"overlap": 0.0, "modes": 0.0, "high_quality": 0.0, "kl": pytest.approx(0, abs=1e-12)}


def test_one_good_sample_covers_a_mode_and_the_limit_is_three_deviations() -> None:
    x = torch.tensor([[1.0, 1.29], [1.0, -1.31], [-1.0, 1.0], [-1.0, 1.0]])
    nearest, good = count_samples_per_mode(x, torch.tensor(SQUARE.centres), SQUARE.sigma)
    assert nearest.tolist() == [1, 1, 2, 0]
    assert good.tolist() == [1, 0, 2, 0]
    assert score(x)["modes"] == 2
    assert overlap_with_uniform(good, 4) == pytest.approx(0.25 + 0 + 0.25 + 0)


def test_modes_of_a_data_set_are_scaled_as_its_points_are() -> None:
    mixture = SimpleNamespace(centres=torch.tensor([[2.0, 0.0], [0.0, -2.0]]), sigma=0.02, scale=2.5)
    assert make_mixture_mode_coverage(mixture) == MixtureModeCoverage(((0.8, 0.0), (0.0, -0.8)), pytest.approx(0.008))
    with pytest.raises(ValueError, match="metrics must be modes only where"):
        make_mixture_mode_coverage(SimpleNamespace(root="photos"))  # type: ignore[arg-type]


def test_classes_are_counted_by_the_likeliest() -> None:
    predictions = PredictionSums(4)
    predictions.update(torch.tensor([[0.4, 0.3, 0.3, 0.0], [0.6, 0.4, 0.0, 0.0], [0.0, 0.1, 0.9, 0.0]]))
    fake = FeatureSet(accumulate_features(torch.zeros(3, 1)), predictions)
    kl = 2 / 3 * math.log(2 / 3 * 4) + 1 / 3 * math.log(1 / 3 * 4)
    assert ClassModeCoverage()(fake, fake) == (pytest.approx(kl), 2.0)


def test_divergence_from_uniform_is_between_zero_and_log_k() -> None:
    assert kl_from_uniform(torch.full((1000,), 26)) == pytest.approx(0, abs=1e-12)
    assert kl_from_uniform(torch.eye(1000, dtype=torch.int64)[3]) == pytest.approx(math.log(1000))
