import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_part

from gantry.metrics import nearest_neighbours
from gantry.metrics.precision_recall import PrecisionRecall, compute_prdc, warn_of_copies
from gaussians import make_features, seeded_randn


def by_tables(real: Tensor, fake: Tensor, k: int, density_k: int) -> tuple[float, ...]:
    """The definitions, in numpy and float64."""
    x, y = fake.double().numpy(), real.double().numpy()

    def table(a, b):  # type: ignore[no-untyped-def]
        return ((a[:, None] - b[None]) ** 2).sum(2)

    def reach(z, k: int):  # type: ignore[no-untyped-def]
        return np.sort(table(z, z), 1)[:, k]  # column 0 is the row itself

    cross = table(x, y)
    inside = cross <= reach(y, density_k)
    precision = (cross <= reach(y, k)).any(1).mean()
    recall = (cross <= reach(x, k)[:, None]).any(0).mean()
    return float(precision), float(recall), float(inside.sum() / (density_k * len(x))), float(inside.any(0).mean())


def line(*points: float) -> Tensor:
    return torch.tensor(points, dtype=torch.float32)[:, None]


def test_points_on_a_line_counted_by_hand() -> None:
    real = line(0, 1, 3, 7)  # balls [-1, 1], [0, 2], [1, 5], [3, 11]
    fake = line(0.5, 0.75, 6, 6.5, 30)  # balls [0.25, 0.75], [0.5, 1], [5.5, 6.5], [6, 7], [6.5, 53.5]
    precision, recall, density, coverage = compute_prdc(real, fake, 1, 1)
    assert precision == 4 / 5  # all but 30
    assert recall == 2 / 4  # 1 and 7, on the surface of balls
    assert density == (2 + 2 + 1 + 1 + 0) / 5
    assert coverage == 3 / 4  # 1 to 5 is empty


def test_a_tight_cluster_in_a_wide_one_has_high_precision_and_low_recall() -> None:
    wide, tight = seeded_randn(400, 4, seed=0), seeded_randn(400, 4, seed=1) * 0.05
    precision, recall, density, coverage = PrecisionRecall()(make_features(wide), make_features(tight))
    assert precision == 1
    assert recall < 0.02
    assert density > 1
    assert coverage < 0.1
    precision, recall, density, coverage = PrecisionRecall()(make_features(tight), make_features(wide))
    assert precision < 0.02
    assert recall == 1
    assert density < 0.02
    assert coverage < 0.1


def test_equal_sets_score_one_and_disjoint_sets_zero() -> None:
    x = seeded_randn(60, 8, seed=0).float()
    assert compute_prdc(x, x.clone(), 3, 5) == (1, 1, 6 / 5, 1)  # a ball holds its middle and 5 neighbours
    assert compute_prdc(x, x + 100, 3, 5) == (0, 0, 0, 0)


def test_two_draws_of_one_distribution_have_density_and_coverage_near_their_expectations() -> None:
    real, fake = (seeded_randn(2000, 8, seed=seed).float() for seed in (0, 1))
    _, _, density, coverage = compute_prdc(real, fake, 3, 5)
    assert density == pytest.approx(1, abs=0.03)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.01)  # Naeem et al. 2020, eq. 9, for many samples


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("dim", [2, 40])
def test_it_agrees_with_torch_fidelity_and_with_the_definitions(
    block: int, dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_neighbours, "DISTANCE_BLOCK_ROWS", block)
    for seed in range(0, 10, 2):
        real = seeded_randn(180, dim, seed=seed).float() + 3
        fake = (seeded_randn(150, dim, seed=seed + 1) * torch.linspace(0.5, 1.6, dim)).float() + 3.2
        scores = compute_prdc(real, fake, 3, 5)
        theirs = calculate_precision_recall_part(fake, real, 3, 50)
        assert scores == by_tables(real, fake, 3, 5)
        assert scores[:2] == pytest.approx(theirs, rel=1e-6)  # theirs is a float32: the same counts
        assert all(0 < score < 1 for score in scores[:2])


@pytest.mark.parametrize("dim", [3, 40])
def test_ties_and_duplicates_count_as_inside(dim: int) -> None:
    """Whole numbers, on which float32 is exact: torch-fidelity decides nothing by rounding, and nor do we."""
    steps = seeded_randn(300, dim, seed=0).mul(0.6).round().float()
    real, fake = torch.cat([steps[:120], steps[:4].repeat(9, 1)]), torch.cat([steps[100:], steps[:1].repeat(20, 1)])
    scores = compute_prdc(real, fake, 3, 5)
    assert scores == by_tables(real, fake, 3, 5)
    assert scores[:2] == pytest.approx(calculate_precision_recall_part(fake, real, 3, 50), rel=1e-6)


def test_copies_far_from_zero_are_on_the_surfaces_that_they_define() -> None:
    real = (seeded_randn(200, 16, seed=0) + 1000).float()
    fake = torch.cat([real[:100], (seeded_randn(50, 16, seed=1) + 1000).float()])
    assert compute_prdc(real, fake, 3, 5) == by_tables(real, fake, 3, 5)


def test_a_collapsed_generator_recalls_nothing() -> None:
    real = seeded_randn(50, 6, seed=0).float()
    assert compute_prdc(real, real[:1].repeat(40, 1), 3, 5)[1] == 1 / 50  # the image that it repeats
    middle = real.mean(0, keepdim=True).repeat(40, 1)
    precision, recall, density, _ = compute_prdc(real, middle, 3, 5)
    assert (precision, recall) == (1, 0)
    assert density > 2.5  # the middle is in most balls of so many dimensions
    constant = torch.full((30, 4), 0.3)
    assert compute_prdc(constant, constant, 3, 5) == (1, 1, 30 / 5, 1)


def test_names_follow_the_extractor() -> None:
    assert PrecisionRecall().metric_names("inception") == ("precision", "recall", "density", "coverage")
    assert PrecisionRecall().metric_names("digits")[0] == "precision_digits"


@pytest.mark.parametrize(
    ("score", "real", "fake", "message"),
    [
        (PrecisionRecall(k=5, density_k=2), 9, 4, "k of precision must be less than 4, the number of images, got 5"),
        (PrecisionRecall(k=4, density_k=2), 4, 9, "k of precision must be less than 4, the number of images, got 4"),
        (
            PrecisionRecall(k=1, density_k=4),
            4,
            9,
            "density_k of density must be less than 4, the number of images, got 4",
        ),
    ],
)
def test_sets_that_are_too_small_are_refused(score: PrecisionRecall, real: int, fake: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        score(make_features(seeded_randn(real, 2, seed=0)), make_features(seeded_randn(fake, 2, seed=1)))


def test_the_smallest_valid_sets() -> None:
    scores = PrecisionRecall(k=3, density_k=5)(
        make_features(seeded_randn(6, 2, seed=0)), make_features(seeded_randn(4, 2, seed=1))
    )
    assert all(score >= 0 for score in scores)


def test_zero_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="density_k of density must be at least 1, got 0"):
        PrecisionRecall(density_k=0)


def test_copies_among_the_real_images_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_copies.cache_clear()
    real, fake = seeded_randn(50, 4, seed=0).float(), seeded_randn(60, 4, seed=1).float()
    few = torch.cat([real[:1].repeat(4, 1), real.repeat_interleave(9, 0) + seeded_randn(450, 4, seed=2).float()])
    compute_prdc(few, fake, 3, 5)  # 4 of 454 occur more than 3 times
    assert caplog.messages == []
    for _ in range(2):
        assert compute_prdc(real.repeat(4, 1), fake, 3, 5)[0] == 0
    (message,) = caplog.messages
    assert message.startswith("200 of 200 real images occur more than 3 times: their balls are points")
