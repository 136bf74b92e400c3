"""What `metrics.py` measures: the numeric part of each metric here, in torch-fidelity and in torchmetrics."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_part
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from gantry.evaluation.feature_pass import STATISTICS_UPDATE_ROWS
from gantry.metrics.frechet import frechet_distance
from gantry.metrics.inception_score import compute_inception_score_per_split
from gantry.metrics.kid import KernelDistance
from gantry.metrics.nearest_neighbours import find_nearest_neighbours
from gantry.metrics.precision_recall import compute_prdc
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.statistics import FeatureSet, Statistics

EXTRACTOR_BATCH = 250  # samples that an extractor gives at a time
GANTRY, FIDELITY, TORCHMETRICS = "Gantry", "torch-fidelity", "torchmetrics"


@dataclass(frozen=True)
class CaseSize:
    """Numbers of samples, features and classes, and of the subsets of KID."""

    samples: int
    features: int
    classes: int
    subsets: int
    subset_size: int


class IdentityExtractor(nn.Module):
    """An extractor for torchmetrics: images are their features."""

    def __init__(self, size: CaseSize) -> None:
        super().__init__()
        self.num_features = size.features

    def forward(self, x: Tensor) -> Tensor:
        return x


def random_features(size: CaseSize, seed: int) -> Tensor:
    """float32 [N, F] about a mean of 0.4, variances falling as i^-1.2 along the waves of Hartley's transform."""
    x = torch.randn(size.samples, size.features, generator=torch.Generator().manual_seed(seed))
    x.mul_(torch.arange(1.0, size.features + 1) ** -0.6)
    for part in x.split(EXTRACTOR_BATCH):
        waves = torch.fft.fft(part, norm="ortho")
        part.copy_(waves.real - waves.imag)
    return x.add_(0.4 + 0.01 * seed)


def random_logits(size: CaseSize) -> Tensor:
    """float32 [N, K]."""
    return torch.randn(size.samples, size.classes, generator=torch.Generator().manual_seed(0)).mul_(2)


def accumulate_in_batches(x: Tensor) -> Statistics:
    """As evaluations take them."""
    whole = Statistics(x.shape[1])
    for part in x.split(STATISTICS_UPDATE_ROWS):
        whole.update(part)
    return whole


def update_metric(metric: nn.Module, x: Tensor, *kind: bool) -> nn.Module:
    """A metric of torchmetrics that has seen a set."""
    for part in x.split(EXTRACTOR_BATCH):
        metric.update(part, *kind)
    return metric


def make_torchmetrics_fid(size: CaseSize, real: Tensor, fake: Tensor) -> FrechetInceptionDistance:
    """Its state after both sets."""
    return update_metric(update_metric(FrechetInceptionDistance(IdentityExtractor(size)), real, True), fake, False)


MetricCall = Callable[[], object]  # what is measured
MetricCase = Callable[[CaseSize], MetricCall]  # makes its inputs first


def make_two_set_case(work: Callable[[CaseSize, Tensor, Tensor], object]) -> MetricCase:
    """A case on the features of two sets: work(size, real, fake)."""

    def case(size: CaseSize) -> MetricCall:
        real, fake = random_features(size, 0), random_features(size, 1)
        return lambda: work(size, real, fake)

    return case


def make_one_set_case(work: Callable[[CaseSize, Tensor], object], make: Callable[[CaseSize], Tensor]) -> MetricCase:
    """A case on what `make` gives."""

    def case(size: CaseSize) -> MetricCall:
        x = make(size)
        return lambda: work(size, x)

    return case


def make_prepared_case(state: Callable[[CaseSize, Tensor, Tensor], object], work: Callable[..., object]) -> MetricCase:
    """A case on what `state` makes of the features, which is not measured: work(*state)."""

    def case(size: CaseSize) -> MetricCall:
        made = state(size, random_features(size, 0), random_features(size, 1))
        return lambda: work(*made)

    return case


def compute_gantry_is(_: CaseSize, x: Tensor) -> object:
    sums = PredictionSums(x.shape[1])
    for start, part in zip(range(0, len(x), EXTRACTOR_BATCH), x.split(EXTRACTOR_BATCH)):
        sums.update(part.softmax(1), start)
    return compute_inception_score_per_split(sums)


def compute_gantry_kid(size: CaseSize, real: Tensor, fake: Tensor) -> object:
    nothing = Statistics(0)
    score = KernelDistance(size.subsets, size.subset_size)
    return score(FeatureSet(nothing, features=real), FeatureSet(nothing, features=fake))


def compute_fidelity_kid(size: CaseSize, real: Tensor, fake: Tensor) -> object:
    settings = {"kid_subsets": size.subsets, "kid_subset_size": size.subset_size, "rng_seed": 2020, "verbose": False}
    return kid_features_to_metric(fake, real, **settings)


def compute_torchmetrics_kid(size: CaseSize, real: Tensor, fake: Tensor) -> object:
    metric = KernelInceptionDistance(IdentityExtractor(size), subsets=size.subsets, subset_size=size.subset_size)
    return update_metric(update_metric(metric, real, True), fake, False).compute()


def compute_mean_and_covariance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance in float64, as torchmetrics' distance wants them."""
    return x.mean(0, dtype=torch.float64), x.double().T.cov()


def make_first_set(size: CaseSize) -> Tensor:
    return random_features(size, 0)


METRIC_CASES: dict[str, dict[str, MetricCase]] = {
    "FID, statistics of a set": {
        GANTRY: make_one_set_case(lambda _, x: accumulate_in_batches(x), make_first_set),
        FIDELITY: make_one_set_case(lambda _, x: fid_features_to_statistics(x), make_first_set),
        TORCHMETRICS: make_one_set_case(
            lambda size, x: update_metric(FrechetInceptionDistance(IdentityExtractor(size)), x, True), make_first_set
        ),
    },
    "FID, distance": {
        GANTRY: make_prepared_case(lambda _, *sets: [accumulate_in_batches(x) for x in sets], frechet_distance),
        FIDELITY: make_prepared_case(
            lambda _, *sets: [fid_features_to_statistics(x) for x in sets],
            lambda *sets: fid_statistics_to_metric(*sets, verbose=False),
        ),
        TORCHMETRICS: make_prepared_case(
            lambda _, *sets: [m for x in sets for m in compute_mean_and_covariance(x)], _compute_fid
        ),
    },
    "FID": {
        GANTRY: make_two_set_case(lambda _, *sets: frechet_distance(*[accumulate_in_batches(x) for x in sets])),
        FIDELITY: make_two_set_case(
            lambda _, *sets: fid_statistics_to_metric(*[fid_features_to_statistics(x) for x in sets], verbose=False)
        ),
        TORCHMETRICS: make_two_set_case(lambda *given: make_torchmetrics_fid(*given).compute()),
    },
    "IS": {
        GANTRY: make_one_set_case(compute_gantry_is, random_logits),
        FIDELITY: make_one_set_case(lambda _, x: isc_features_to_metric(x), random_logits),
        TORCHMETRICS: make_one_set_case(
            lambda size, x: update_metric(InceptionScore(IdentityExtractor(size)), x).compute(), random_logits
        ),
    },
    "KID": {
        GANTRY: make_two_set_case(compute_gantry_kid),
        FIDELITY: make_two_set_case(compute_fidelity_kid),
        TORCHMETRICS: make_two_set_case(compute_torchmetrics_kid),
    },
    "precision, recall": {  # with them ours has density and coverage, which have no peer
        GANTRY: make_two_set_case(lambda _, real, fake: compute_prdc(real, fake, 3, 5)),
        FIDELITY: make_two_set_case(lambda _, real, fake: calculate_precision_recall_part(fake, real)),
    },
    "nearest training images": {GANTRY: make_two_set_case(lambda _, real, fake: find_nearest_neighbours(fake, real))},
}
