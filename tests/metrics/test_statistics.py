from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.statistics import Statistics
from gaussians import accumulate_features, seeded_randn
from spawn_ranks import run_on_ranks


def test_streaming_equals_numpy_for_uneven_batches() -> None:
    x = seeded_randn(103, 6, seed=0) @ seeded_randn(6, 6, seed=1)
    statistics = Statistics(6)
    for part in x.split([1, 60, 0, 2, 40]):
        statistics.update(part)
    assert statistics.n == 103
    np.testing.assert_allclose(statistics.mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-10, atol=1e-12)


def test_the_scatter_is_symmetric_after_every_update() -> None:
    x = seeded_randn(30, 5, seed=0) @ seeded_randn(5, 5, seed=1)
    statistics = Statistics(5)
    for n, part in zip((10, 30), x.split([10, 20])):
        statistics.update(part)
        deviations = x[:n] - x[:n].mean(0)
        torch.testing.assert_close(statistics.scatter, deviations.T @ deviations, rtol=1e-12, atol=1e-12)
        assert torch.equal(statistics.scatter, statistics.scatter.T)


def test_updates_do_not_change_the_source_tensors() -> None:
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


def accumulate_part(x: Tensor, p: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the states after a sync of ranks that saw unequal parts, rank 1 none."""
    parts = torch.tensor([0, 20, 20, 53])
    rows = slice(*parts[collectives.rank() : collectives.rank() + 2].tolist())
    statistics, sums = accumulate_features(x[rows]), PredictionSums(p.shape[1])
    sums.update(p[rows], rows.start)
    for metric in (statistics, sums):
        metric.sync()
    return statistics.to_tensors(), dict(sums.metric_state)


def test_ranks_are_merged_like_batches_even_without_samples() -> None:
    x, p = seeded_randn(53, 4, seed=0) + 1e6, seeded_randn(53, 5, seed=1).softmax(1)
    expected, sums = accumulate_features(x), PredictionSums(5)
    sums.update(p)
    for moments, states in run_on_ranks(3, accumulate_part, x, p):
        assert int(moments["n"]) == 53
        torch.testing.assert_close(moments["mean"], expected.mean, rtol=1e-15, atol=0)
        torch.testing.assert_close(moments["scatter"], expected.scatter, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(states, dict(sums.metric_state), rtol=1e-12, atol=0)


def test_one_process_needs_no_sync() -> None:
    statistics = accumulate_features(seeded_randn(5, 2, seed=0))
    before = statistics.to_tensors()
    statistics.sync()
    torch.testing.assert_close(statistics.to_tensors(), before, rtol=0, atol=0)


def test_forward_returns_the_value_of_the_batch_and_merges_it() -> None:
    x = seeded_randn(30, 3, seed=0) + 1e6
    statistics = Statistics(3)
    for part in x.split([10, 20]):
        torch.testing.assert_close(statistics(part)["covariance"], accumulate_features(part).covariance)
    torch.testing.assert_close(statistics.compute()["covariance"], accumulate_features(x).covariance, rtol=1e-8, atol=0)
    statistics.reset()
    assert statistics.n == 0
    assert not statistics.mean.any()


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
