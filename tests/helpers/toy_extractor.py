"""A tiny extractor, and images for it, for the tests of evaluations."""

import torch
from torch import Tensor, nn

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.feature_pass import ImageSource
from gantry.evaluation.reference import Reference
from gantry.features.extractor import ExtractorOutput
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.inception_score import InceptionScore
from gantry.metrics.kid import KernelDistance
from gantry.metrics.mode_coverage import ClassModeCoverage
from gantry.metrics.precision_recall import PrecisionRecall
from gantry.metrics.statistics import FeatureSet

CPU = torch.device("cpu")


class ToyExtractor(nn.Module):
    """uint8 [N, 3, 4, 4] -> 5 features, 4 probabilities; counts its images."""

    name, dim, num_classes, digest, resizer = "toy", 5, 4, "0123", "none"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(5, 48, generator=generator) / 48)
        self.num_images = 0

    def forward(self, x: Tensor) -> ExtractorOutput:
        assert x.dtype == torch.uint8
        self.num_images += len(x)
        features = (x.float().flatten(1) / 64) @ self.get_buffer("weight").T
        return ExtractorOutput(features, (3 * features[:, :4]).softmax(1))


def make_toy_evaluation(
    num_samples: int = 20, seed: int = 0, batch_size: int = 7, cache: str | None = None, kernel: bool = True
) -> Evaluation:
    """Return an evaluation by FD, CS, modes, KD, precision and recall of the toy features."""
    scores = {"fd": FrechetDistance(), "cs": InceptionScore(), "modes": ClassModeCoverage()}
    by_features = {"kd": KernelDistance(subsets=4, subset_size=8), "manifold": PrecisionRecall()} if kernel else {}
    return Evaluation(
        scores | by_features,
        num_samples,
        "fd_toy",
        "min",
        seed=seed,
        extractor=ToyExtractor,
        batch_size=batch_size,
        cache=cache,
    )


def score_images(evaluation: Evaluation, x: Tensor, real: FeatureSet, labels: Tensor | None = None) -> dict[str, float]:
    """Score images x [N, ...] of these classes against the features of real ones."""
    return evaluation.compute_scores(real, evaluation.extract_samples(slice_source(x), CPU, labels))


def random_images(n: int, seed: int) -> Tensor:
    """Return noise, uint8 [n, 3, 4, 4]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 4, 4), generator=generator).to(torch.uint8)


def make_reference(x: Tensor, digest: str = "abc") -> Reference:
    """Return images as a reference."""
    return Reference("noise", "train", digest, len(x), tuple(x.shape[1:]), slice_source(x))


def slice_source(x: Tensor) -> ImageSource:
    """Return x as a source of images: (start, stop) -> x[start:stop]."""
    return lambda start, stop: x[start:stop]
