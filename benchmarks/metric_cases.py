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

from gantry.evaluation.feature_pass import ROWS
from gantry.metrics.frechet import frechet_distance
from gantry.metrics.inception_score import inception_scores
from gantry.metrics.kid import KernelDistance
from gantry.metrics.nearest_neighbours import neighbours
from gantry.metrics.precision_recall import manifold_scores
from gantry.metrics.statistics import Collected, Predictions, Statistics

BATCH = 250  # samples that an extractor gives at a time
OURS, FIDELITY, TORCHMETRICS = "Gantry", "torch-fidelity", "torchmetrics"


@dataclass(frozen=True)
class Size:
    """Numbers of samples, features and classes, and of the subsets of KID."""

    samples: int
    features: int
    classes: int
    subsets: int
    subset_size: int


class Given(nn.Module):
    """An extractor for torchmetrics: images are their features."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.num_features = size.features

    def forward(self, x: Tensor) -> Tensor:
        return x


def features(size: Size, seed: int) -> Tensor:
    """float32 [N, F] about a mean of 0.4, variances falling as i^-1.2 along the waves of Hartley's transform."""
    x = torch.randn(size.samples, size.features, generator=torch.Generator().manual_seed(seed))
    x.mul_(torch.arange(1.0, size.features + 1) ** -0.6)
    for part in x.split(BATCH):
        waves = torch.fft.fft(part, norm="ortho")
        part.copy_(waves.real - waves.imag)
    return x.add_(0.4 + 0.01 * seed)


def logits(size: Size) -> Tensor:
    """float32 [N, K]."""
    return torch.randn(size.samples, size.classes, generator=torch.Generator().manual_seed(0)).mul_(2)


def statistics(x: Tensor) -> Statistics:
    """As evaluations take them."""
    whole = Statistics(x.shape[1])
    for part in x.split(ROWS):
        whole.update(part)
    return whole


def fed(metric: nn.Module, x: Tensor, *kind: bool) -> nn.Module:
    """A metric of torchmetrics that has seen a set."""
    for part in x.split(BATCH):
        metric.update(part, *kind)
    return metric


def torchmetrics_fid(size: Size, real: Tensor, fake: Tensor) -> FrechetInceptionDistance:
    """Its state after both sets."""
    return fed(fed(FrechetInceptionDistance(Given(size)), real, True), fake, False)


Work = Callable[[], object]  # what is measured
Case = Callable[[Size], Work]  # makes its inputs first


def both(work: Callable[[Size, Tensor, Tensor], object]) -> Case:
    """A case on the features of two sets: work(size, real, fake)."""

    def case(size: Size) -> Work:
        real, fake = features(size, 0), features(size, 1)
        return lambda: work(size, real, fake)

    return case


def one(work: Callable[[Size, Tensor], object], make: Callable[[Size], Tensor]) -> Case:
    """A case on what `make` gives."""

    def case(size: Size) -> Work:
        x = make(size)
        return lambda: work(size, x)

    return case


def after(state: Callable[[Size, Tensor, Tensor], object], work: Callable[..., object]) -> Case:
    """A case on what `state` makes of the features, which is not measured: work(*state)."""

    def case(size: Size) -> Work:
        made = state(size, features(size, 0), features(size, 1))
        return lambda: work(*made)

    return case


def our_is(_: Size, x: Tensor) -> object:
    sums = Predictions(x.shape[1])
    for start, part in zip(range(0, len(x), BATCH), x.split(BATCH)):
        sums.update(start, part.softmax(1))
    return inception_scores(sums)


def our_kid(size: Size, real: Tensor, fake: Tensor) -> object:
    nothing = Statistics(0)
    score = KernelDistance(size.subsets, size.subset_size)
    return score(Collected(nothing, features=real), Collected(nothing, features=fake))


def their_kid(size: Size, real: Tensor, fake: Tensor) -> object:
    settings = {"kid_subsets": size.subsets, "kid_subset_size": size.subset_size, "rng_seed": 2020, "verbose": False}
    return kid_features_to_metric(fake, real, **settings)


def torchmetrics_kid(size: Size, real: Tensor, fake: Tensor) -> object:
    metric = KernelInceptionDistance(Given(size), subsets=size.subsets, subset_size=size.subset_size)
    return fed(fed(metric, real, True), fake, False).compute()


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance in float64, as torchmetrics' distance wants them."""
    return x.mean(0, dtype=torch.float64), x.double().T.cov()


def first_set(size: Size) -> Tensor:
    return features(size, 0)


CASES: dict[str, dict[str, Case]] = {
    "FID, statistics of a set": {
        OURS: one(lambda _, x: statistics(x), first_set),
        FIDELITY: one(lambda _, x: fid_features_to_statistics(x), first_set),
        TORCHMETRICS: one(lambda size, x: fed(FrechetInceptionDistance(Given(size)), x, True), first_set),
    },
    "FID, distance": {
        OURS: after(lambda _, *sets: [statistics(x) for x in sets], frechet_distance),
        FIDELITY: after(
            lambda _, *sets: [fid_features_to_statistics(x) for x in sets],
            lambda *sets: fid_statistics_to_metric(*sets, verbose=False),
        ),
        TORCHMETRICS: after(lambda _, *sets: [m for x in sets for m in moments(x)], _compute_fid),
    },
    "FID": {
        OURS: both(lambda _, *sets: frechet_distance(*[statistics(x) for x in sets])),
        FIDELITY: both(
            lambda _, *sets: fid_statistics_to_metric(*[fid_features_to_statistics(x) for x in sets], verbose=False)
        ),
        TORCHMETRICS: both(lambda *given: torchmetrics_fid(*given).compute()),
    },
    "IS": {
        OURS: one(our_is, logits),
        FIDELITY: one(lambda _, x: isc_features_to_metric(x), logits),
        TORCHMETRICS: one(lambda size, x: fed(InceptionScore(Given(size)), x).compute(), logits),
    },
    "KID": {OURS: both(our_kid), FIDELITY: both(their_kid), TORCHMETRICS: both(torchmetrics_kid)},
    "precision, recall": {  # with them ours has density and coverage, which have no peer
        OURS: both(lambda _, real, fake: manifold_scores(real, fake, 3, 5)),
        FIDELITY: both(lambda _, real, fake: calculate_precision_recall_part(fake, real)),
    },
    "nearest training images": {OURS: both(lambda _, real, fake: neighbours(fake, real))},
}
