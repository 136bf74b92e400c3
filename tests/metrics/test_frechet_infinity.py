import math
from collections.abc import Callable

import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from gantry.metrics.frechet import frechet_distance
from gantry.metrics.frechet_infinity import FrechetInfinity, extrapolate_to_infinity
from gantry.metrics.statistics import FeatureSet, Statistics
from gaussians import accumulate_features, make_gaussian_statistics, seeded_randn


def make_features(x: Tensor) -> FeatureSet:
    """Return the feature set of these features."""
    return FeatureSet(accumulate_features(x), features=x)


def standard(dim: int) -> FeatureSet:
    """A real set whose statistics are those of the standard normal distribution."""
    return FeatureSet(make_gaussian_statistics(torch.zeros(dim), torch.eye(dim)))


def samples(N: int, deviations: Tensor, shift: float, seed: int) -> Tensor:
    """Normal numbers [N, F] with these standard deviations and a mean off by `shift` along the first axis."""
    x = seeded_randn(N, len(deviations), seed=seed) * deviations
    x[:, 0] += shift
    return x


def test_a_line_in_one_over_n_is_extrapolated_to_zero() -> None:
    def line(N: int) -> float:
        return 3 + 50 / N

    assert extrapolate_to_infinity(100, line(100), 90, line(90)) == pytest.approx(3)


def test_it_is_the_jackknife_of_the_distance() -> None:
    x, real = samples(160, torch.ones(4), 0.5, seed=0), standard(4)
    score = FrechetInfinity(blocks=4)
    order = torch.randperm(160, generator=torch.Generator().manual_seed(score.seed)).view(4, 40)
    rests = [
        accumulate_features(x[order[[other for other in range(4) if other != left]].flatten()]) for left in range(4)
    ]
    D = frechet_distance(real.statistics, accumulate_features(x))
    pseudo = torch.tensor([4 * D - 3 * frechet_distance(real.statistics, rest) for rest in rests], dtype=torch.float64)
    halves = [accumulate_features(x[order[:2].flatten()]), accumulate_features(x[order[2:].flatten()])]
    bend = sum(frechet_distance(real.statistics, half) for half in halves) / 2 - (2 * D - float(pseudo.mean()))
    half = student.ppf(0.975, 3) * math.hypot(float(pseudo.std()) / 2, bend)
    value, low, high = score(real, make_features(x))
    assert value == pytest.approx(float(pseudo.mean()), rel=1e-9)
    assert (low, high) == pytest.approx((value - half, value + half), rel=1e-6)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.3)])
def test_its_interval_contains_the_true_value_and_its_value_is_nearer_than_the_distance(
    shift: float, scale: float, falling: bool
) -> None:
    F, N, trials = 12, 600, 80
    sd = torch.arange(1, F + 1, dtype=torch.float64) ** -0.5 if falling else torch.ones(F, dtype=torch.float64)
    truth = shift**2 + float(((scale - 1) * sd).square().sum())
    real = FeatureSet(make_gaussian_statistics(torch.zeros(F), sd.square().diag()))
    held, errors, plain_errors = 0, [], []
    for seed in range(trials):
        fake = make_features(samples(N, scale * sd, shift, seed))
        value, low, high = FrechetInfinity()(real, fake)
        held += low <= truth <= high
        errors.append(value - truth)
        plain_errors.append(frechet_distance(real.statistics, fake.statistics) - truth)
    assert 0.85 <= held / trials <= 1
    assert root_mean_square(errors) < 0.99 * root_mean_square(plain_errors)
    assert abs(sum(errors)) < abs(sum(plain_errors)) / 2  # less bias, whatever the spread


def test_with_many_features_the_interval_includes_the_curvature() -> None:
    F, N = 256, 2048
    for seed in range(3):
        fake = make_features(samples(N, torch.ones(F, dtype=torch.float64), 0.0, seed))
        value, low, high = FrechetInfinity()(standard(F), fake)
        plain = frechet_distance(standard(F).statistics, fake.statistics)
        assert low <= 0 <= high
        assert abs(value) < 0.06 * plain
        assert high - low < 0.2 * plain


def root_mean_square(errors: list[float]) -> float:
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def test_samples_sorted_by_class_give_the_same_interval() -> None:
    x = samples(800, torch.ones(4), 0.0, seed=0)
    x[400:, 0] += 4  # two classes
    mixed = x[torch.randperm(800, generator=torch.Generator().manual_seed(1))]
    widths = [high - low for _, low, high in (FrechetInfinity()(standard(4), make_features(y)) for y in (x, mixed))]
    assert widths[0] == pytest.approx(widths[1], rel=0.5)  # blocks of one class each: 10 times as wide


def test_a_part_is_subtracted_from_a_set() -> None:
    x = seeded_randn(50, 6, seed=0) + 100
    rest, expected = (
        accumulate_features(x).subtract(accumulate_features(x[10:13])),
        accumulate_features(torch.cat([x[:10], x[13:]])),
    )
    assert rest.n == 47
    torch.testing.assert_close(rest.mean, expected.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(rest.scatter, expected.scatter, rtol=0, atol=1e-9)


def test_it_costs_a_distance_for_each_block_and_three(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Statistics] = []

    def counting(real: Statistics) -> Callable[[Statistics], float]:
        return lambda fake: seen.append(fake) or 0.0

    monkeypatch.setattr("gantry.metrics.frechet_infinity.make_frechet_distance", counting)
    assert FrechetInfinity()(standard(2), make_features(seeded_randn(100, 2, seed=0))) == (0, 0, 0)
    assert len(seen) == 19
    assert sorted({statistics.n for statistics in seen}) == [50, 93, 94, 100]


def test_names() -> None:
    assert FrechetInfinity().metric_names("inception") == ("fid_infinity", "fid_infinity_low", "fid_infinity_high")
    assert FrechetInfinity().metric_names("digits")[1] == "fd_digits_infinity_low"


def test_too_few_samples_are_refused() -> None:
    rule = r"metrics\.num_samples must be at least 32 to extrapolate the distance between 4 features, got 31"
    with pytest.raises(ValueError, match=rule):
        FrechetInfinity()(standard(4), make_features(seeded_randn(31, 4, seed=0)))
    FrechetInfinity()(standard(4), make_features(seeded_randn(32, 4, seed=0)))
    with pytest.raises(ValueError, match=r"metrics\.num_samples must be at least 16"):
        FrechetInfinity()(standard(1), make_features(seeded_randn(15, 1, seed=0)))
    with pytest.raises(ValueError, match="blocks of the Frechet distance at infinity must be 4 to 20, got 21"):
        FrechetInfinity(blocks=21)
