import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric

from gantry.metrics.inception_score import InceptionScore, compute_inception_score_per_split
from gantry.metrics.prediction_sums import NUM_SCORE_SPLITS, PredictionSums, assign_splits
from gantry.metrics.statistics import FeatureSet, Statistics
from gantry.sampling.latents import balanced_labels
from gaussians import seeded_randn


def sum_predictions(probabilities: Tensor, batch_size: int = 7) -> PredictionSums:
    sums = PredictionSums(probabilities.shape[1])
    for start in range(0, len(probabilities), batch_size):
        sums.update(probabilities[start : start + batch_size], start)
    return sums


def score_orders(p: Tensor) -> list[float]:
    """Return the scores of certain predictions p [N, K] as they are, sorted by class and shuffled."""
    shuffled = torch.randperm(len(p), generator=torch.Generator().manual_seed(0))
    orders = (torch.arange(len(p)), p.argmax(1).argsort(stable=True), shuffled)
    return [float(compute_inception_score_per_split(sum_predictions(p[order], 500)).mean()) for order in orders]


@pytest.mark.parametrize("classes", [2, 5, 10, 20, 21, 31, 51, 99, 100, 101])
def test_no_order_of_the_samples_changes_the_score(classes: int) -> None:
    """A generator without a fault, of N samples: 10 splits of n miss about (K - 1) / 2n * 9/10 of the entropy."""
    for own_order in (torch.arange(10_000) % classes, balanced_labels(0, 10_000, classes)):
        scores = score_orders(torch.eye(classes)[own_order])
        expected = classes * math.exp(-0.9 * (classes - 1) / 2000)
        assert scores == pytest.approx([expected] * 3, rel=0.01)


def test_splits_are_fixed_and_of_about_equal_size() -> None:
    whole = assign_splits(0, 50_000)
    assert torch.equal(assign_splits(12_345, 12_400), whole[12_345:12_400])
    assert whole[:20].tolist() == [3, 0, 2, 9, 1, 4, 5, 6, 7, 8, 1, 2, 2, 4, 5, 0, 4, 2, 4, 1]
    sizes = whole.bincount(minlength=NUM_SCORE_SPLITS).double()
    assert float(((sizes - 5000) ** 2 / 5000).sum()) < 21.7  # chi-square with 9 degrees of freedom: 99 %
    assert assign_splits(2**31 - 5, 2**31 + 5).ge(0).all()


def test_the_protocol_states_the_splits() -> None:
    """Scores of older versions, whose splits were every tenth sample, must differ in their protocol."""
    assert asdict(InceptionScore()) == {"splits": "10 by a fixed permutation"}


def test_equal_divisions_of_certain_predictions_score_the_number_of_classes() -> None:
    sums = PredictionSums(4)
    sums.n += 4
    sums.p += 1
    torch.testing.assert_close(compute_inception_score_per_split(sums), torch.full((NUM_SCORE_SPLITS,), 4.0).double())


def test_equal_predictions_score_one() -> None:
    scores = compute_inception_score_per_split(sum_predictions(torch.tensor([[0.7, 0.3, 0.0]]).repeat(50, 1)))
    torch.testing.assert_close(scores, torch.ones(NUM_SCORE_SPLITS, dtype=torch.float64), rtol=1e-6, atol=0)


def test_each_split_is_compared_with_its_own_mean() -> None:
    p = seeded_randn(53, 5, seed=0).softmax(1)
    splits = assign_splits(0, 53)
    for split, score in enumerate(compute_inception_score_per_split(sum_predictions(p)).tolist()):
        own = p[splits == split]
        divergences = [sum(v * math.log(v / q) for v, q in zip(row, own.mean(0).tolist())) for row in own.tolist()]
        assert score == pytest.approx(math.exp(np.mean(divergences)), rel=1e-12)


def test_it_agrees_with_torch_fidelity() -> None:
    logits = 3 * seeded_randn(200, 30, seed=0)
    splits = assign_splits(0, 200)
    ours = compute_inception_score_per_split(sum_predictions(logits.softmax(1).float()))
    for split, score in enumerate(ours.tolist()):
        theirs = isc_features_to_metric(logits[splits == split], splits=1, shuffle=False)
        assert score == pytest.approx(theirs["inception_score_mean"], rel=1e-6)


def test_every_split_needs_a_sample() -> None:
    with pytest.raises(ValueError, match=r"metrics\.num_samples must be at least 10.* got 9"):
        compute_inception_score_per_split(sum_predictions(torch.eye(9)))


def test_the_deviation_is_that_of_the_splits_themselves() -> None:
    sums = PredictionSums(4)
    for split in range(NUM_SCORE_SPLITS):
        num_classes = 1 if split < 5 else 3
        sums.n[split] = num_classes
        sums.p[split, :num_classes] = 1
    statistics = Statistics(2)
    score = InceptionScore()(FeatureSet(statistics), FeatureSet(statistics, sums))
    assert score == pytest.approx((2.0, 1.0), rel=1e-12)  # of 1 and 3: sqrt(10 / 10), not sqrt(10 / 9)
