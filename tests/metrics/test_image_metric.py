import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from gantry.distributed import collectives
from gantry.evaluation.evaluation import Evaluation
from gantry.features.extractor import ExtractorOutput, PointExtractor
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.frechet_infinity import FrechetInfinity
from gantry.metrics.frechet_per_class import FrechetPerClass
from gantry.metrics.image_metric import ImageMetric
from gantry.metrics.inception_score import InceptionScore, compute_inception_score_per_split
from gantry.metrics.kid import KernelDistance
from gantry.metrics.memorisation import Memorisation
from gantry.metrics.mode_coverage import ClassModeCoverage, MixtureModeCoverage
from gantry.metrics.precision_recall import PrecisionRecall
from gantry.metrics.prediction_sums import PredictionSums
from gantry.pixels import from_uint8
from spawn_ranks import run_on_ranks
from toy_extractor import ToyExtractor, make_reference, random_images, score_images

REAL, FAKE, HELD_OUT = (random_images(n, seed=seed) for n, seed in ((60, 0), (50, 1), (20, 2)))
REAL_LABELS, FAKE_LABELS = torch.arange(60) % 2, torch.arange(50) % 2
SCORES: dict[str, Any] = {
    "frechet": FrechetDistance(),
    "infinity": FrechetInfinity(blocks=4),
    "per_class": FrechetPerClass(2),
    "inception_score": InceptionScore(),
    "class_modes": ClassModeCoverage(),
    "kid": KernelDistance(subsets=4, subset_size=30),
    "manifold": PrecisionRecall(),
    "memorisation": Memorisation(quantile=0.1),
}


def update_in_batches(metric: Any, batch_size: int = 7) -> Any:
    """Add all images, real ones first."""
    for x, c, real in ((REAL, REAL_LABELS, True), (FAKE, FAKE_LABELS, False)):
        for rows in torch.arange(len(x)).split(batch_size):
            metric.update(x[rows], real=real, labels=c[rows])
    metric.update(HELD_OUT, real=True, held_out=True)
    return metric


def extract_rows(x: Tensor, rows: slice) -> ExtractorOutput:
    """Return features of some images that are, bit for bit, those of a pass over all of them."""
    return ExtractorOutput(*(part[rows] for part in ToyExtractor()(x)))


def evaluate(*names: str, batch_size: int = 100) -> dict[str, float]:
    """Score the same images by an evaluation of Gantry's own."""
    scores = {name: SCORES[name] for name in names or SCORES}
    evaluation = Evaluation(scores, len(FAKE), None, "min", extractor=ToyExtractor, batch_size=batch_size)
    reference = replace(make_reference(REAL), labels=REAL_LABELS, held_out=make_reference(HELD_OUT))
    return score_images(evaluation, FAKE, evaluation.extract_real(reference, torch.device("cpu")), FAKE_LABELS)


def as_numbers(values: dict[str, Tensor]) -> dict[str, float]:
    assert {value.dtype for value in values.values()} <= {torch.float64}
    return {name: float(value) for name, value in values.items()}


def test_all_scores_are_those_of_an_evaluation() -> None:
    metric = update_in_batches(ImageMetric(ToyExtractor(), *SCORES.values()))
    values, expected = as_numbers(metric.compute()), evaluate(batch_size=7)
    assert list(values) == list(expected)
    assert values == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", SCORES)
def test_each_score_alone_is_that_of_an_evaluation(name: str) -> None:
    metric = update_in_batches(ImageMetric(ToyExtractor(), SCORES[name]))
    assert as_numbers(metric.compute()) == pytest.approx(evaluate(name, batch_size=7), rel=1e-9)


def test_float_images_points_and_outputs_of_the_extractor_are_accepted() -> None:
    extractor = ToyExtractor()
    floats, outputs = ImageMetric(extractor, FrechetDistance()), ImageMetric(extractor, FrechetDistance())
    for x, real in ((REAL, True), (FAKE, False)):
        floats.update(from_uint8(x), real=real)
        outputs.update(extractor(x), real=real)
    assert as_numbers(floats.compute()) == as_numbers(outputs.compute()) == pytest.approx(evaluate("frechet"), rel=1e-9)
    centres = torch.tensor([[0.5, 0.5], [-0.5, 0.5]])
    points = ImageMetric(PointExtractor(), MixtureModeCoverage(((0.5, 0.5), (-0.5, 0.5)), sigma=0.01))
    points.update(centres, real=True)
    points.update(centres.repeat(20, 1), real=False)
    assert float(points.compute()["overlap"]) == 1


def test_a_collection_reads_images_once_for_metrics_of_equal_states() -> None:
    extractor = ToyExtractor()
    metrics = {name: ImageMetric(extractor, SCORES[name]) for name in ("frechet", "inception_score", "kid")}
    collection = update_in_batches(MetricCollection(metrics))
    expected = evaluate("frechet", "inception_score", "kid", batch_size=7)
    assert as_numbers(collection.compute()) == pytest.approx(expected, rel=1e-9)
    assert sorted(map(sorted, collection.compute_groups.values())) == [["frechet", "inception_score"], ["kid"]]
    assert extractor.num_images == 2 * 130 + 7  # the first batch shows which states are equal


def test_reset_removes_all_images() -> None:
    metric = update_in_batches(ImageMetric(ToyExtractor(), *SCORES.values()))
    metric.update(torch.full((2, 3, 4, 4), torch.nan), real=False, labels=torch.zeros(2, dtype=torch.int64))
    metric.reset()
    assert as_numbers(update_in_batches(metric, batch_size=60).compute()) == pytest.approx(evaluate(), rel=1e-9)


def test_forward_scores_a_batch_against_all_real_images_and_adds_it() -> None:
    metric = ImageMetric(ToyExtractor(), *(SCORES[name] for name in ("frechet", "inception_score", "kid")))
    for rows in (slice(0, 40), slice(40, 60)):
        assert metric(extract_rows(REAL, rows), real=True) == {}
    batches = [extract_rows(FAKE, rows) for rows in (slice(0, 10), slice(10, 50))]
    values = [metric(batch, real=False) for batch in batches]
    assert list(values[0]) == ["fd_toy", "cs_toy", "cs_toy_std"]  # KID needs 30 samples
    assert list(values[1]) == [*values[0], "kd_toy", "kd_toy_std"]
    for value, batch in zip(values, batches):
        alone = ImageMetric(ToyExtractor(), FrechetDistance())
        alone.update(REAL, real=True)
        alone.update(batch, real=False)
        assert float(value["fd_toy"]) == pytest.approx(float(alone.compute()["fd_toy"]), rel=1e-9)
    assert as_numbers(metric.compute()) == pytest.approx(evaluate("frechet", "inception_score", "kid"), rel=1e-9)


def score_on_ranks(counts: list[int]) -> dict[str, float]:
    """Score the images when each rank has a number of them, in the order of the ranks."""
    metric = ImageMetric(ToyExtractor(), *SCORES.values())
    start = sum(counts[: collectives.rank()])
    for x, c, real in ((REAL, REAL_LABELS, True), (FAKE, FAKE_LABELS, False)):
        rows = slice(start, start + counts[collectives.rank()] if collectives.rank() < len(counts) - 1 else len(x))
        if len(x[rows]):
            metric.update(extract_rows(x, rows), real=real, labels=c[rows])
    if collectives.rank() == 0:
        metric.update(HELD_OUT, real=True, held_out=True)
    first = as_numbers(metric.compute())
    metric.update(FAKE[:0], real=False, labels=FAKE_LABELS[:0])  # drops the result, not the images
    assert as_numbers(metric.compute()) == first
    return first


def score_classes_of_parts(*parts: slice) -> dict[str, float]:
    """Return the classifier score of FAKE where each part of it counts its samples from 0."""
    sums = PredictionSums(ToyExtractor.num_classes)
    for rows in parts:
        sums.update(extract_rows(FAKE, rows).probabilities, 0)
    scores = compute_inception_score_per_split(sums)
    return {"cs_toy": float(scores.mean()), "cs_toy_std": float(scores.std(correction=0))}


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_ranks_with_unequal_numbers_of_images_get_the_scores_of_all() -> None:
    expected = evaluate() | score_classes_of_parts(slice(0, 20), slice(20, None))
    for scores in run_on_ranks(3, score_on_ranks, [20, 0, 30]):
        assert scores == pytest.approx(expected, rel=1e-9)


def test_two_metrics_merge_into_one() -> None:
    parts = [ImageMetric(ToyExtractor(), *(SCORES[name] for name in ("frechet", "inception_score"))) for _ in range(2)]
    for metric, rows in zip(parts, (slice(0, 30), slice(30, None))):
        metric.update(extract_rows(REAL, rows), real=True)
        metric.update(extract_rows(FAKE, rows), real=False)
    parts[0].merge_state(parts[1])
    expected = evaluate("frechet") | score_classes_of_parts(slice(0, 30), slice(30, None))
    assert as_numbers(parts[0].compute()) == pytest.approx(expected, rel=1e-9)


class ToyModule(nn.Module):
    """A module that holds a metric, as a LightningModule does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.metric = ImageMetric(ToyExtractor(), FrechetDistance())


@pytest.mark.parametrize("cast", [nn.Module.half, nn.Module.bfloat16, lambda module: module.to(torch.float16)])
def test_the_module_with_the_metric_can_be_cast_saved_and_trained(cast: Callable[[nn.Module], nn.Module]) -> None:
    module = ToyModule()
    cast(module)
    update_in_batches(module.metric)
    assert as_numbers(module.metric.compute()) == pytest.approx(evaluate("frechet", batch_size=7), rel=1e-9)
    assert list(module.state_dict()) == ["layer.weight", "layer.bias"]
    assert len(list(module.parameters())) == 2


def test_images_out_of_range_are_refused() -> None:
    metric = update_in_batches(ImageMetric(ToyExtractor(), FrechetDistance()))
    wrong = from_uint8(FAKE[:4])
    wrong[0, 0, 0, 0], wrong[2, 1, 1, 1] = torch.nan, 255
    metric.update(wrong, real=False)
    with pytest.raises(ValueError, match=r"samples must be finite and in \[-1, 1\], got 2 of 134 that are not"):
        metric.compute()
    with pytest.raises(ValueError, match=r"got 4 of 138 that are not"):
        metric(wrong, real=False)


def test_mistakes_are_refused() -> None:
    few = ImageMetric(ToyExtractor(), KernelDistance(subset_size=30))
    few.update(REAL, real=True)
    few.update(FAKE[:29], real=False)
    with pytest.raises(ValueError, match=r"^KernelDistance needs at least 30 generated images, got 29$"):
        few.compute()
    alone = ImageMetric(ToyExtractor(), Memorisation(quantile=0.1))
    alone.update(REAL, real=True)
    alone.update(FAKE, real=False)
    with pytest.raises(ValueError, match=r"^Memorisation needs at least 9 held-out images, got 0$"):
        alone.compute()
    with pytest.raises(ValueError, match=r"^labels must be given for FrechetPerClass"):
        ImageMetric(ToyExtractor(), FrechetPerClass(2)).update(REAL, real=True)
    with pytest.raises(ValueError, match=r"^extractor must classify for these scores, got points"):
        ImageMetric(PointExtractor(), InceptionScore())
    with pytest.raises(ValueError, match=r"^scores must be at least one"):
        ImageMetric(ToyExtractor())
    with pytest.raises(ValueError, match=r"^arithmetic must be one of float32, tf32, bf16, got half"):
        ImageMetric(ToyExtractor(), FrechetDistance(), arithmetic="half")
    with pytest.raises(ValueError, match=r"^dist_sync_on_step must be false"):
        ImageMetric(ToyExtractor(), FrechetDistance(), dist_sync_on_step=True)


def test_the_example_in_the_documentation_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    variables: dict[str, Any] = {}
    exec(example, variables)
    assert list(variables["values"])[:2] == ["fd_digits", "kd_digits"]
    assert float(variables["values"]["fd_digits"]) > 0
