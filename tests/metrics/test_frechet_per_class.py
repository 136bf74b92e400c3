"""The Frechet distance within each class."""

import pytest
import torch

from gantry.metrics.frechet import frechet_distance
from gantry.metrics.frechet_per_class import FrechetPerClass, compute_statistics
from gantry.metrics.statistics import FeatureSet, Statistics


def make_features(features: torch.Tensor, labels: torch.Tensor) -> FeatureSet:
    statistics = Statistics(features.shape[1])
    statistics.update(features)
    return FeatureSet(statistics, features=features, labels=labels)


def draws(n: int, seed: int, shift: float = 0.0) -> FeatureSet:
    """Class 0 around 0, class 1 around 10 + shift."""
    c = torch.arange(n) % 2
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)) + (10 + shift) * c[:, None]
    return make_features(x, c)


def test_each_class_is_compared_with_itself() -> None:
    real, fake = draws(400, 0), draws(300, 1, shift=2.0)
    mean, worst, zero, one = FrechetPerClass(2)(real, fake)
    assert real.features is not None
    assert fake.features is not None
    for k, distance in enumerate((zero, one)):
        parts = [Statistics(3), Statistics(3)]
        parts[0].update(real.features[k::2])
        parts[1].update(fake.features[k::2])
        assert distance == pytest.approx(frechet_distance(*parts), rel=1e-9)
    assert zero == pytest.approx(0, abs=0.1)
    assert one == pytest.approx(3 * 2.0**2, rel=0.1)  # the means of class 1 are 2 apart in each of 3 directions
    assert (mean, worst) == (pytest.approx((zero + one) / 2), one)


def test_equal_sets_are_at_0_and_exchanged_classes_far_apart() -> None:
    real = draws(100, 0)
    assert max(FrechetPerClass(2)(real, real)) == pytest.approx(0, abs=1e-9)
    assert real.features is not None
    assert real.labels is not None
    exchanged = make_features(real.features, 1 - real.labels)
    assert frechet_distance(real.statistics, exchanged.statistics) == pytest.approx(0, abs=1e-9)
    assert min(FrechetPerClass(2)(real, exchanged)) > 250


def test_names() -> None:
    assert FrechetPerClass(2).metric_names("inception") == (
        "fid_class_mean",
        "fid_class_worst",
        "fid_class_0",
        "fid_class_1",
    )
    assert FrechetPerClass(1).metric_names("digits")[-1] == "fd_digits_class_0"


def test_many_features_are_summed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    index = torch.arange(0, 50, 3)
    complete = compute_statistics(x, index)
    monkeypatch.setattr("gantry.metrics.frechet_per_class.CLASS_STATISTICS_BLOCK_ROWS", 5)
    parts = compute_statistics(x, index)
    assert parts.n == complete.n == 17
    torch.testing.assert_close(parts.scatter, complete.scatter)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"data\.num_classes must be at least 1 .* got 0"):
        FrechetPerClass(0)
    real = draws(10, 0)
    assert real.features is not None
    few = make_features(real.features, torch.tensor([0] * 9 + [1]))
    with pytest.raises(ValueError, match="at least 2 samples of each class, got 1 of 1"):
        FrechetPerClass(2)(real, few)
