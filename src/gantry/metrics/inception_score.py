"""The Inception Score (Salimans et al. 2016); with another classifier it is called classifier score."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gantry.errors import UserError
from gantry.metrics.prediction_sums import NUM_SCORE_SPLITS, SPLIT_RULE, PredictionSums
from gantry.metrics.score import MinimumSamples, Requirement, make_metric_name
from gantry.metrics.statistics import FeatureSet

ADVISED_SAMPLES = 1000  # MNIST's test digits score 9.79; 1,000 of them 9.3, 100 of them 5.6 and 20 of them 1.8


@dataclass(frozen=True)
class InceptionScore:
    """`is` or `cs_<extractor>`, and `..._std` over the splits: 1 to the number of classes, more is better."""

    splits: str = field(default=SPLIT_RULE, init=False)  # for the protocol: sample i was once in split i mod 10
    requirements: ClassVar[Requirement] = Requirement.CLASSIFIER

    def minimum_samples(self, dim: int) -> MinimumSamples:  # noqa: ARG002
        """Return one sample for each split; 100 for each are advised."""
        reason = f"the score of a split is at most the number of its samples, one {NUM_SCORE_SPLITS}th of all"
        return MinimumSamples(NUM_SCORE_SPLITS, advised=ADVISED_SAMPLES, reason=reason)

    def metric_names(self, extractor: str) -> tuple[str, ...]:
        """Return the mean over the splits and the standard deviation."""
        return make_metric_name("cs", extractor), make_metric_name("cs_std", extractor)

    def __call__(self, real: FeatureSet, fake: FeatureSet) -> tuple[float, ...]:  # noqa: ARG002
        if fake.predictions is None:
            raise UserError("metrics.extractor must classify for a classifier score, got one that does not")
        scores = compute_inception_score_per_split(fake.predictions)
        return float(scores.mean()), float(scores.std(correction=0))


def compute_inception_score_per_split(sums: PredictionSums) -> Tensor:
    """exp of the mean over x of KL(p(y | x) || p(y)) (Salimans et al. 2016, section 4): -> float64 [S].

    The mean of the divergences is the mean of sum p log p, less sum q log q with q the mean of p.
    """
    if (sums.n == 0).any():
        few = int(sums.n.sum())
        raise UserError(f"metrics.num_samples must be at least {NUM_SCORE_SPLITS}, one a split, got {few}")
    q = sums.p / sums.n[:, None]
    return (sums.p_log_p / sums.n - torch.xlogy(q, q).sum(1)).exp()
