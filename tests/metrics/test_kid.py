import numpy as np
import pytest
from numpy.typing import NDArray
from torch_fidelity.metric_kid import kid_features_to_metric

from gantry.metrics import kid
from gantry.metrics.kid import KernelDistance, kernel_distance
from gaussians import make_features, seeded_randn

Array = NDArray[np.float64]


def by_loops(x: Array, y: Array) -> float:
    def k(a: Array, b: Array) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]) for z in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


def rows(n: int, dim: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    return (seeded_randn(n, dim, seed=seed) + shift).float().numpy()


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_it_is_the_double_loop(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kid, "KERNEL_BLOCK_ROWS", 8)
    real, fake = rows(20, 6, seed=0, shift=shift), rows(13, 6, seed=1, shift=shift)
    exact = by_loops(real.astype(float), fake.astype(float))
    assert kernel_distance(real, fake) == pytest.approx(exact, rel=2e-5)
    assert kernel_distance(fake, real) == pytest.approx(exact, rel=2e-5)


def test_the_estimate_has_no_bias_where_the_biased_one_has() -> None:
    distances = [kernel_distance(rows(6, 3, seed=2 * i), rows(6, 3, seed=2 * i + 1)) for i in range(3000)]
    error = np.std(distances) / len(distances) ** 0.5
    assert abs(np.mean(distances)) < 4 * error
    assert min(distances) < 0
    assert 4 * error < 1.0  # the diagonals, left in, would add 2 (E k(x, x) - E k(x, y)) / 6, which is above 2


def test_it_grows_with_the_distance() -> None:
    real = rows(40, 4, seed=0)
    distances = [kernel_distance(real, rows(40, 4, seed=1, shift=shift)) for shift in (0.0, 1.0, 2.0)]
    assert distances == sorted(distances)
    assert distances[1] > 10 * abs(distances[0])


def test_it_agrees_with_torch_fidelity_on_the_same_subsets() -> None:
    real, fake = seeded_randn(120, 32, seed=0).abs(), seeded_randn(90, 32, seed=1).abs() * 1.2
    theirs = kid_features_to_metric(
        fake.float(), real.float(), kid_subsets=5, kid_subset_size=50, rng_seed=2020, verbose=False
    )
    ours = KernelDistance(subsets=5, subset_size=50)(make_features(real), make_features(fake))
    assert ours == pytest.approx(tuple(theirs.values()), rel=1e-4)


def test_subsets_larger_than_a_set_are_refused() -> None:
    with pytest.raises(ValueError, match=r"subset_size .* must be at most 9.* got 10"):
        KernelDistance(subset_size=10)(
            make_features(seeded_randn(20, 2, seed=0)), make_features(seeded_randn(9, 2, seed=0))
        )
