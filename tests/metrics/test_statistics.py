from pathlib import Path

import numpy as np
import pytest
import torch

from gantry.metrics.statistics import Statistics
from gaussians import accumulate_features, seeded_randn


def test_streaming_equals_numpy_for_uneven_batches() -> None:
    x = seeded_randn(103, 6, seed=0) @ seeded_randn(6, 6, seed=1)
    statistics = Statistics(6)
    for part in x.split([1, 60, 0, 2, 40]):
        statistics.update(part)
    assert statistics.n == 103
    np.testing.assert_allclose(statistics.mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-10, atol=1e-12)


def test_the_scatter_is_whole_and_symmetric_after_every_update() -> None:
    x = seeded_randn(30, 5, seed=0) @ seeded_randn(5, 5, seed=1)
    statistics = Statistics(5)
    for n, part in zip((10, 30), x.split([10, 20])):
        statistics.update(part)
        deviations = x[:n] - x[:n].mean(0)
        torch.testing.assert_close(statistics.scatter, deviations.T @ deviations, rtol=1e-12, atol=1e-12)
        assert torch.equal(statistics.scatter, statistics.scatter.T)


def test_statistics_made_of_tensors_leave_them_alone() -> None:
    tensors = accumulate_features(seeded_randn(9, 3, seed=0)).to_tensors()
    before = tensors["scatter"].clone()
    Statistics.from_tensors(tensors).update(seeded_randn(5, 3, seed=1))
    assert torch.equal(tensors["scatter"], before)


def test_features_far_from_zero_cost_no_precision() -> None:
    x = seeded_randn(1000, 3, seed=0)
    far = Statistics(3)
    for part in (x + 1e8).split(64):
        far.update(part)
    expected = accumulate_features((x + 1e8) - 1e8).covariance  # x as float64 holds it beside 1e8
    torch.testing.assert_close(far.covariance, expected, rtol=1e-7, atol=1e-8)


def test_one_process_is_the_whole_world() -> None:
    mine = accumulate_features(seeded_randn(5, 2, seed=0))
    whole = mine.all_reduce()
    assert whole is not mine
    assert whole.n == 5
    torch.testing.assert_close(whole.mean, mine.mean, rtol=0, atol=0)
    torch.testing.assert_close(whole.scatter, mine.scatter, rtol=0, atol=0)


def test_saved_statistics_are_the_same(tmp_path: Path) -> None:
    before = accumulate_features(seeded_randn(7, 3, seed=0))
    before.save(tmp_path / "real.safetensors")
    after = Statistics.load(tmp_path / "real.safetensors")
    assert after.n == 7
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.covariance, before.covariance)
    after.update(seeded_randn(2, 3, seed=1))
    assert after.n == 9


def test_one_sample_has_no_covariance() -> None:
    with pytest.raises(ValueError, match=r"metrics\.num_samples must be at least 2 .* got 1"):
        _ = accumulate_features(seeded_randn(1, 3, seed=0)).covariance
