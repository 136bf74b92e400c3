import numpy as np
import pytest
import torch
from torch import Tensor

from gantry.metrics import nearest_neighbours
from gantry.metrics.nearest_neighbours import (
    find_k_nearest,
    find_k_nearest_others,
    find_nearest_neighbours,
    iter_pairs_within,
)
from gaussians import seeded_randn

SIZES = [3, 8, 1000]


def table(x: Tensor, y: Tensor) -> Tensor:
    """All squared distances, in float64."""
    return (x.double()[:, None] - y.double()[None]).square().sum(2)


@pytest.mark.parametrize("block", SIZES)
def test_the_nearest_are_those_of_the_full_distance_matrix(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbours, "DISTANCE_BLOCK_ROWS", block)
    x, y = seeded_randn(17, 5, seed=0).float(), seeded_randn(23, 5, seed=1).float()
    expected = table(x, y).topk(4, largest=False)
    squared, index = find_k_nearest(x, y, 4)
    torch.testing.assert_close(squared, expected.values, rtol=1e-14, atol=0)
    assert torch.equal(index, expected.indices)


@pytest.mark.parametrize("block", SIZES)
def test_nearest_others_leave_out_the_row_itself(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbours, "DISTANCE_BLOCK_ROWS", block)
    x = seeded_randn(20, 5, seed=0).float()
    expected = table(x, x).fill_diagonal_(torch.inf).topk(3, largest=False)
    squared, index = find_k_nearest_others(x, 3)
    torch.testing.assert_close(squared, expected.values, rtol=1e-14, atol=0)
    assert torch.equal(index, expected.indices)


def test_all_other_rows_can_be_neighbours() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0]])
    assert find_k_nearest_others(x, 2)[0].tolist() == [[1, 9], [1, 4], [4, 9]]
    assert find_k_nearest(x[:1], x, 3)[0].tolist() == [[0, 1, 9]]


def test_a_copy_is_at_distance_zero_however_far_from_zero_it_is() -> None:
    training = (seeded_randn(300, 64, seed=0) + 1000).float()
    distance, index = find_nearest_neighbours(training[40:90], training)
    assert torch.equal(distance, torch.zeros(50, dtype=torch.float64))
    assert torch.equal(index, torch.arange(40, 90))
    assert float(find_k_nearest_others(torch.cat([training, training]), 2)[0][:, 0].max()) == 0


def test_distances_are_not_squared() -> None:
    distance, index = find_nearest_neighbours(
        torch.tensor([[3.0, 4.0], [9.0, 0.0]]), torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    )
    assert distance.tolist() == [5, 1]
    assert index.tolist() == [0, 1]


def test_near_ties_are_distinguished_in_float64() -> None:
    far = torch.tensor([3e3, 0.0])
    y = torch.stack([far + torch.tensor([0.0, 2e-3]), far + torch.tensor([0.0, 1e-3]), -far])
    assert find_nearest_neighbours(far[None], y)[1].tolist() == [1]


@pytest.mark.parametrize("block", SIZES)
def test_all_pairs_within_the_reach_are_yielded(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbours, "DISTANCE_BLOCK_ROWS", block)
    x, y = seeded_randn(17, 4, seed=0).float(), seeded_randn(23, 4, seed=1).float()
    full = table(x, y)
    reach_x, reach_y = torch.linspace(0, 4, 17).double(), torch.linspace(3, 1, 23).double()
    wanted = (full <= reach_x[:, None]) | (full <= reach_y)
    seen = torch.zeros_like(wanted)
    for pairs in iter_pairs_within(x, y, reach_x, reach_y):
        seen[pairs.i, pairs.j] = True
        assert bool(((full[pairs.i, pairs.j] - pairs.squared_distances).abs() <= pairs.error_bounds).all())
    assert 10 < int(wanted.sum()) < wanted.numel() / 2
    assert torch.equal(seen, wanted)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_pairs_at_exactly_the_reach_are_included(shift: float) -> None:
    x, y = (seeded_randn(40, 64, seed=0) + shift).float(), (seeded_randn(50, 64, seed=1) + shift).float()
    full = table(x, y)
    for reach_x, reach_y in ((full.median(1).values, -torch.ones(50)), (-torch.ones(40), full.median(0).values)):
        pairs = next(iter_pairs_within(x, y, reach_x.double(), reach_y.double()))
        wanted = (full <= reach_x[:, None]) | (full <= reach_y)
        seen = torch.zeros_like(wanted)
        seen[pairs.i, pairs.j] = True
        assert bool(seen[wanted].all())
        assert int(seen.sum()) < int(wanted.sum()) + 20


def test_the_error_bound_is_ten_times_the_measured_error() -> None:
    x = seeded_randn(200, 2048, seed=0).abs().float()
    y = x + seeded_randn(200, 2048, seed=1).float() * 0.01
    a, b = (next(nearest_neighbours.iter_row_blocks(z, y.mean(0))) for z in (x, y))
    error = (nearest_neighbours.expand_squared_distances(a, b).double() - table(a.rows, b.rows)).abs()
    relative = float((error / (a.squared_norms[:, None] + b.squared_norms)).max())
    assert 0 < relative < nearest_neighbours.FLOAT32_RELATIVE_ERROR / 10
    np.testing.assert_allclose(a.squared_norms, (x - y.mean(0)).double().square().sum(1), rtol=1e-5)


@pytest.mark.parametrize("distance", [1e3, 1e5])
@pytest.mark.parametrize("block", [7, 1000])
def test_neighbours_in_tight_clusters_far_apart_are_the_exact_ones(
    distance: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_neighbours, "DISTANCE_BLOCK_ROWS", block)
    centres = distance * seeded_randn(3, 64, seed=0)
    x, y = ((centres.repeat(n, 1) + seeded_randn(3 * n, 64, seed=n)).float() for n in (20, 30))
    expected = table(x, x).fill_diagonal_(torch.inf).topk(3, largest=False)
    squared, index = find_k_nearest_others(x, 3)
    torch.testing.assert_close(squared, expected.values, rtol=1e-12, atol=0)
    assert torch.equal(index, expected.indices)
    expected = table(x, y).topk(3, largest=False)
    squared, index = find_k_nearest(x, y, 3)
    torch.testing.assert_close(squared, expected.values, rtol=1e-12, atol=0)
    assert torch.equal(index, expected.indices)
