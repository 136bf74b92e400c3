import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gantry.metrics.frechet import factor_covariance, frechet_distance
from gaussians import accumulate_features, make_gaussian_statistics, random_covariance, random_rotation, seeded_randn


def test_on_a_line_it_is_the_difference_of_means_and_of_deviations() -> None:
    real, fake = (
        make_gaussian_statistics(torch.tensor([1.0]), torch.tensor([[9.0]])),
        make_gaussian_statistics(torch.tensor([5.0]), torch.tensor([[4.0]])),
    )
    assert frechet_distance(real, fake) == pytest.approx((5 - 1) ** 2 + (3 - 2) ** 2)


def test_variances_along_common_axes() -> None:
    a, b, axes = (
        torch.tensor([4.0, 9.0, 0.0, 0.0, 1.0]),
        torch.tensor([1.0, 0.0, 16.0, 0.0, 1.0]),
        random_rotation(5, seed=0),
    )
    real, fake = (make_gaussian_statistics(torch.zeros(5), axes @ v.double().diag() @ axes.T) for v in (a, b))
    expected = float((a.sqrt() - b.sqrt()).square().sum())  # 1 + 9 + 16
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_two_covariances_equal_the_square_root_of_their_product() -> None:
    S, T = random_covariance(8, 8, seed=0), random_covariance(8, 8, seed=1)
    m = seeded_randn(8, seed=2)
    root = np.trace(sqrtm((S @ T).numpy())).real
    expected = float(m.square().sum() + S.trace() + T.trace()) - 2 * root
    assert frechet_distance(
        make_gaussian_statistics(torch.zeros(8), S), make_gaussian_statistics(m, T)
    ) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("ranks", "dim"), [((3, 3), 40), ((3, 5), 40), ((1, 6), 300)])
def test_dimensions_without_variance_change_nothing(ranks: tuple[int, int], dim: int) -> None:
    small = [random_covariance(6, rank, seed=rank) for rank in ranks]
    axes = random_rotation(dim, seed=3)[:, :6]
    large = [make_gaussian_statistics(torch.zeros(dim), axes @ S @ axes.T) for S in small]
    assert [factor_covariance(statistics).matrix.shape[1] for statistics in large] == list(ranks)
    expected = frechet_distance(*[make_gaussian_statistics(torch.zeros(6), S) for S in small])
    assert frechet_distance(*large) == pytest.approx(expected, rel=1e-9)


def test_fewer_samples_than_dimensions() -> None:
    x = seeded_randn(20, 100, seed=0)
    t, scale = seeded_randn(100, seed=1), 1.7
    real = accumulate_features(x)
    spread = float(real.covariance.trace() + real.mean.square().sum())
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-7 * spread)
    assert frechet_distance(real, accumulate_features(x + t)) == pytest.approx(float(t.square().sum()), rel=1e-7)
    assert frechet_distance(real, accumulate_features(scale * x)) == pytest.approx((scale - 1) ** 2 * spread, rel=1e-7)


def test_two_samples_have_rank_one() -> None:
    real, fake = accumulate_features(torch.eye(4)[:2]), accumulate_features(torch.eye(4)[2:])
    assert frechet_distance(real, fake) == pytest.approx(4 * 0.25 + 1 + 1)  # means, traces; the roots are orthogonal


def test_it_is_symmetric_and_grows_with_the_distance() -> None:
    x, y = accumulate_features(seeded_randn(50, 8, seed=0)), seeded_randn(60, 8, seed=1)
    near, far = accumulate_features(y + 1), accumulate_features(y + 2)
    assert frechet_distance(x, near) == pytest.approx(frechet_distance(near, x), rel=1e-9)
    assert 0 < frechet_distance(x, near) < frechet_distance(x, far)


def test_a_constant_set_is_a_point() -> None:
    point = accumulate_features(torch.ones(9, 3))
    assert frechet_distance(point, point) == 0
    assert frechet_distance(point, make_gaussian_statistics(torch.zeros(3), torch.eye(3))) == pytest.approx(3 + 3)


@pytest.mark.parametrize("n", [40, 400])
def test_it_agrees_with_torch_fidelity(n: int) -> None:
    x, y = seeded_randn(n, 64, seed=0).abs(), seeded_randn(n + 7, 64, seed=1).square()
    theirs = fid_statistics_to_metric(*[fid_features_to_statistics(z) for z in (x, y)], verbose=False)
    assert frechet_distance(accumulate_features(x), accumulate_features(y)) == pytest.approx(*theirs.values(), rel=1e-5)
