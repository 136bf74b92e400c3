import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric

from gantry.metrics.inception_score import inception_scores
from gantry.metrics.statistics import SPLITS, Predictions
from gaussians import randn


def sums_of(probabilities: Tensor, batch_size: int = 7) -> Predictions:
    sums = Predictions(probabilities.shape[1])
    for start in range(0, len(probabilities), batch_size):
        sums.update(start, probabilities[start : start + batch_size])
    return sums


def test_certain_and_even_predictions_score_the_number_of_classes() -> None:
    classes = torch.arange(4).repeat_interleave(SPLITS)  # each split sees every class once
    scores = inception_scores(sums_of(torch.eye(4)[classes]))
    torch.testing.assert_close(scores, torch.full((SPLITS,), 4.0, dtype=torch.float64))


def test_equal_predictions_score_one() -> None:
    scores = inception_scores(sums_of(torch.tensor([[0.7, 0.3, 0.0]]).repeat(50, 1)))
    torch.testing.assert_close(scores, torch.ones(SPLITS, dtype=torch.float64), rtol=1e-6, atol=0)


def test_splits_are_taken_by_index_and_compared_with_their_own_mean() -> None:
    p = randn(53, 5, seed=0).softmax(1)
    for split, score in enumerate(inception_scores(sums_of(p)).tolist()):
        own = p[split::SPLITS]
        divergences = [sum(v * math.log(v / q) for v, q in zip(row, own.mean(0).tolist())) for row in own.tolist()]
        assert score == pytest.approx(math.exp(np.mean(divergences)), rel=1e-12)


def test_it_agrees_with_torch_fidelity() -> None:
    logits = 3 * randn(200, 30, seed=0)
    split_by_split = torch.cat([logits[split::SPLITS] for split in range(SPLITS)])
    theirs = isc_features_to_metric(split_by_split, splits=SPLITS, shuffle=False)
    ours = inception_scores(sums_of(logits.softmax(1).float()))
    assert float(ours.mean()) == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert float(ours.std(correction=0)) == pytest.approx(theirs["inception_score_std"], rel=1e-5)


def test_every_split_needs_a_sample() -> None:
    with pytest.raises(ValueError, match=r"metrics\.num_samples must be at least 10.* got 9"):
        inception_scores(sums_of(torch.eye(9)))
