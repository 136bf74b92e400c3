import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric

from gantry.metrics.inception_score import compute_inception_score_per_split
from gantry.metrics.statistics import NUM_SCORE_SPLITS, PredictionSums
from gaussians import seeded_randn


def sums_of(probabilities: Tensor, batch_size: int = 7) -> PredictionSums:
    sums = PredictionSums(probabilities.shape[1])
    for start in range(0, len(probabilities), batch_size):
        sums.update(probabilities[start : start + batch_size], start)
    return sums


def test_certain_and_even_predictions_score_the_number_of_classes() -> None:
    classes = torch.arange(4).repeat_interleave(NUM_SCORE_SPLITS)  # each split sees every class once
    scores = compute_inception_score_per_split(sums_of(torch.eye(4)[classes]))
    torch.testing.assert_close(scores, torch.full((NUM_SCORE_SPLITS,), 4.0, dtype=torch.float64))


def test_equal_predictions_score_one() -> None:
    scores = compute_inception_score_per_split(sums_of(torch.tensor([[0.7, 0.3, 0.0]]).repeat(50, 1)))
    torch.testing.assert_close(scores, torch.ones(NUM_SCORE_SPLITS, dtype=torch.float64), rtol=1e-6, atol=0)


def test_splits_are_taken_by_index_and_compared_with_their_own_mean() -> None:
    p = seeded_randn(53, 5, seed=0).softmax(1)
    for split, score in enumerate(compute_inception_score_per_split(sums_of(p)).tolist()):
        own = p[split::NUM_SCORE_SPLITS]
        divergences = [sum(v * math.log(v / q) for v, q in zip(row, own.mean(0).tolist())) for row in own.tolist()]
        assert score == pytest.approx(math.exp(np.mean(divergences)), rel=1e-12)


def test_it_agrees_with_torch_fidelity() -> None:
    logits = 3 * seeded_randn(200, 30, seed=0)
    split_by_split = torch.cat([logits[split::NUM_SCORE_SPLITS] for split in range(NUM_SCORE_SPLITS)])
    theirs = isc_features_to_metric(split_by_split, splits=NUM_SCORE_SPLITS, shuffle=False)
    ours = compute_inception_score_per_split(sums_of(logits.softmax(1).float()))
    assert float(ours.mean()) == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert float(ours.std(correction=0)) == pytest.approx(theirs["inception_score_std"], rel=1e-5)


def test_every_split_needs_a_sample() -> None:
    with pytest.raises(ValueError, match=r"metrics\.num_samples must be at least 10.* got 9"):
        compute_inception_score_per_split(sums_of(torch.eye(9)))
