import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gantry.metrics.frechet import factor, frechet_distance
from gaussians import covariance, gaussian, randn, rotation, statistics_of


def test_on_a_line_it_is_the_difference_of_means_and_of_deviations() -> None:
    real, fake = (
        gaussian(torch.tensor([1.0]), torch.tensor([[9.0]])),
        gaussian(torch.tensor([5.0]), torch.tensor([[4.0]])),
    )
    assert frechet_distance(real, fake) == pytest.approx((5 - 1) ** 2 + (3 - 2) ** 2)


def test_variances_along_common_axes() -> None:
    a, b, axes = (
        torch.tensor([4.0, 9.0, 0.0, 0.0, 1.0]),
        torch.tensor([1.0, 0.0, 16.0, 0.0, 1.0]),
        rotation(5, seed=0),
    )
    real, fake = (gaussian(torch.zeros(5), axes @ v.double().diag() @ axes.T) for v in (a, b))
    expected = float((a.sqrt() - b.sqrt()).square().sum())  # 1 + 9 + 16
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_any_two_covariances_against_the_square_root_of_their_product() -> None:
    S, T = covariance(8, 8, seed=0), covariance(8, 8, seed=1)
    m = randn(8, seed=2)
    root = np.trace(sqrtm((S @ T).numpy())).real
    expected = float(m.square().sum() + S.trace() + T.trace()) - 2 * root
    assert frechet_distance(gaussian(torch.zeros(8), S), gaussian(m, T)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("ranks", "dim"), [((3, 3), 40), ((3, 5), 40), ((1, 6), 300)])
def test_dimensions_without_variance_change_nothing(ranks: tuple[int, int], dim: int) -> None:
    small = [covariance(6, rank, seed=rank) for rank in ranks]
    axes = rotation(dim, seed=3)[:, :6]
    large = [gaussian(torch.zeros(dim), axes @ S @ axes.T) for S in small]
    assert [factor(statistics).matrix.shape[1] for statistics in large] == list(ranks)
    expected = frechet_distance(*[gaussian(torch.zeros(6), S) for S in small])
    assert frechet_distance(*large) == pytest.approx(expected, rel=1e-9)


def test_fewer_samples_than_dimensions() -> None:
    x = randn(20, 100, seed=0)
    t, scale = randn(100, seed=1), 1.7
    real = statistics_of(x)
    spread = float(real.covariance.trace() + real.mean.square().sum())
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-7 * spread)
    assert frechet_distance(real, statistics_of(x + t)) == pytest.approx(float(t.square().sum()), rel=1e-7)
    assert frechet_distance(real, statistics_of(scale * x)) == pytest.approx((scale - 1) ** 2 * spread, rel=1e-7)


def test_two_samples_have_rank_one() -> None:
    real, fake = statistics_of(torch.eye(4)[:2]), statistics_of(torch.eye(4)[2:])
    assert frechet_distance(real, fake) == pytest.approx(4 * 0.25 + 1 + 1)  # means, traces; the roots are orthogonal


def test_it_is_symmetric_and_grows_with_the_distance() -> None:
    x, y = statistics_of(randn(50, 8, seed=0)), randn(60, 8, seed=1)
    near, far = statistics_of(y + 1), statistics_of(y + 2)
    assert frechet_distance(x, near) == pytest.approx(frechet_distance(near, x), rel=1e-9)
    assert 0 < frechet_distance(x, near) < frechet_distance(x, far)


def test_a_constant_set_is_a_point() -> None:
    point = statistics_of(torch.ones(9, 3))
    assert frechet_distance(point, point) == 0
    assert frechet_distance(point, gaussian(torch.zeros(3), torch.eye(3))) == pytest.approx(3 + 3)


@pytest.mark.parametrize("n", [40, 400])
def test_it_agrees_with_torch_fidelity(n: int) -> None:
    x, y = randn(n, 64, seed=0).abs(), randn(n + 7, 64, seed=1).square()
    theirs = fid_statistics_to_metric(*[fid_features_to_statistics(z) for z in (x, y)], verbose=False)
    assert frechet_distance(statistics_of(x), statistics_of(y)) == pytest.approx(*theirs.values(), rel=1e-5)
