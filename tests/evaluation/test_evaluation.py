from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.evaluation.evaluation import Evaluation, ReportSettings
from gantry.evaluation.feature_pass import FeaturePass
from gantry.evaluation.reference import Reference
from gantry.features.extractor import ExtractorOutput
from gantry.features.small_classifier import load_small_net
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.frechet_infinity import FrechetInfinity
from gantry.metrics.frechet_per_class import FrechetPerClass
from gantry.metrics.inception_score import InceptionScore
from gantry.metrics.kid import KernelDistance
from gantry.metrics.memorisation import Memorisation
from gantry.metrics.mode_coverage import MixtureModeCoverage
from gantry.metrics.precision_recall import PrecisionRecall
from gantry.metrics.score import Requirement
from gantry.pixels import from_uint8
from spawn_ranks import run_on_ranks
from toy_extractor import ToyExtractor, make_reference, make_toy_evaluation, random_images, score_images, slice_source

CPU = torch.device("cpu")


def compute_toy_scores(x: Tensor, num_samples: int, batch_size: int = 7) -> dict[str, float]:
    evaluation = make_toy_evaluation(num_samples, batch_size=batch_size)
    return score_images(evaluation, x, evaluation.extract_real(make_reference(random_images(31, seed=0)), CPU))


CASES = [(20, 7), (15, 20), (21, 1)]  # ranks have unequal numbers of samples; in the second case all are one rank's


def score_all_cases() -> list[dict[str, float]]:
    return [compute_toy_scores(random_images(count, seed=1), count, batch_size) for count, batch_size in CASES]


def score_all_cases_with_a_fault() -> tuple[list[dict[str, float]], str]:
    x = from_uint8(random_images(20, seed=0))
    x[0] = float("nan") if collectives.rank() == 0 else 0.0  # the first batch is process 0's
    with pytest.raises(ValueError, match="got 1 of 20") as error:
        compute_toy_scores(x, 20)
    return score_all_cases(), str(error.value)


def test_three_processes_give_the_same_numbers_and_stop_together() -> None:
    expected = score_all_cases()
    for results, fault in run_on_ranks(3, score_all_cases_with_a_fault):
        assert fault == "samples must be finite and in [-1, 1], got 1 of 20 that are not"
        assert approx_equal(results, expected)


@pytest.mark.slow
def test_two_processes_give_the_same_numbers() -> None:
    expected = score_all_cases()
    assert all(approx_equal(results, expected) for results in run_on_ranks(2, score_all_cases))


def approx_equal(results: list[dict[str, float]], expected: list[dict[str, float]]) -> bool:
    pairs = list(zip(results, expected, strict=True))
    return all(list(got) == list(value) and got == pytest.approx(value, rel=1e-9) for got, value in pairs)


def test_any_batch_size_gives_the_same_numbers() -> None:
    x = random_images(40, seed=1)
    for batch_size in (1, 9, 40, 100):
        assert compute_toy_scores(x, 40, batch_size) == pytest.approx(compute_toy_scores(x, 40), rel=1e-5)


def test_names_and_values() -> None:
    scores = compute_toy_scores(random_images(31, seed=0), 31)
    assert list(scores)[:7] == ["fd_toy", "cs_toy", "cs_toy_std", "kl", "modes", "kd_toy", "kd_toy_std"]
    assert list(scores)[7:] == ["precision_toy", "recall_toy", "density_toy", "coverage_toy"]
    assert (scores["precision_toy"], scores["recall_toy"], scores["coverage_toy"]) == (1, 1, 1)
    assert scores["fd_toy"] == pytest.approx(0, abs=1e-9)
    assert 1 < scores["cs_toy"] < 4


def test_float_samples_are_rounded_to_the_same_bytes() -> None:
    x = random_images(20, seed=1)
    assert compute_toy_scores(from_uint8(x), 20) == compute_toy_scores(x, 20)


def test_features_have_the_order_of_the_samples_and_are_stored_only_on_request() -> None:
    x = random_images(10, seed=0)
    feature_pass = FeaturePass(ToyExtractor(), 3, True, CPU)
    features = feature_pass.extract(slice_source(x), 10).features
    assert features is not None
    torch.testing.assert_close(features, ToyExtractor()(x).features)
    assert FeaturePass(ToyExtractor(), 3, False, CPU).extract(slice_source(x), 10).features is None


def test_arithmetic_is_a_choice_that_the_protocol_names() -> None:
    images = torch.randint(0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    net = load_small_net("digits")
    exact, rounded = (
        FeaturePass(net, 3, True, CPU, kind).extract(slice_source(images), 6).features for kind in ("float32", "bf16")
    )
    assert exact is not None
    assert rounded is not None
    assert 0 < float((rounded - exact).norm() / exact.norm()) < 0.02
    with pytest.raises(ValueError, match=r"^metrics\.arithmetic must be one of float32, tf32, bf16, got half$"):
        Evaluation(scores={}, num_samples=2, monitor=None, mode="min", arithmetic="half")  # type: ignore[arg-type]
    assert make_toy_evaluation(kernel=False).requirements == Requirement.CLASSIFIER


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 255.0])
def test_samples_out_of_range_are_refused(wrong: float) -> None:
    x = from_uint8(random_images(20, seed=0))
    x[3, 0, 0, 0] = x[18, 0, 0, 0] = wrong
    with pytest.raises(ValueError, match=r"samples must be finite and in \[-1, 1\], got 2 of 20"):
        compute_toy_scores(x, 20)


def test_samples_slightly_out_of_range_are_clamped() -> None:
    x = from_uint8(random_images(20, seed=0))
    assert compute_toy_scores(1.5 * x, 20) == compute_toy_scores((1.5 * x).clamp(-1, 1), 20)


def test_real_statistics_are_cached_for_the_same_images_and_extractor_only(tmp_path: Path) -> None:
    real = make_reference(random_images(31, seed=0))
    first = make_toy_evaluation(cache=str(tmp_path))
    again = make_toy_evaluation(cache=str(tmp_path))
    before, after = first.extract_real(real, CPU), again.extract_real(real, CPU)
    assert first.feature_extractor.num_images == 31  # type: ignore[attr-defined]
    assert again.feature_extractor.num_images == 0  # type: ignore[attr-defined]
    assert after.features is not None
    assert before.features is not None
    assert torch.equal(after.features, before.features)
    assert torch.equal(after.statistics.scatter, before.statistics.scatter)
    again.extract_real(make_reference(random_images(31, seed=1), digest="def"), CPU)
    assert again.feature_extractor.num_images == 31  # type: ignore[attr-defined]


def test_points_need_no_extractor() -> None:
    points = torch.tensor([[0.5, 0.5], [-0.5, 0.5]])
    modes = MixtureModeCoverage(centres=((0.5, 0.5), (-0.5, 0.5)), sigma=0.01)
    evaluation = Evaluation({"modes": modes}, 40, "overlap", "max")
    real = Reference("two", "train", "abc", 2, (2,), slice_source(points))
    evaluation.check_requirements(real)
    result = score_images(evaluation, points.repeat(20, 1), evaluation.extract_real(real, CPU))
    assert result == {"overlap": 1.0, "modes": 2.0, "high_quality": 1.0, "kl": pytest.approx(0, abs=1e-12)}


def test_mistakes_are_reported_with_their_key() -> None:
    real = make_reference(random_images(4, seed=0))
    points = Reference("two", "train", "abc", 2, (2,), slice_source(torch.zeros(2, 2)))
    with pytest.raises(ValueError, match=r"metrics\.monitor must be one of fd_toy, .*, got fid"):
        Evaluation(make_toy_evaluation().scores, 20, "fid", "min", extractor=ToyExtractor).check_requirements(real)
    with pytest.raises(ValueError, match=r"metrics must be modes for points"):
        make_toy_evaluation().check_requirements(points)
    with pytest.raises(ValueError, match=r"metrics must be an extractor's for images"):
        Evaluation({}, 20, None, "min").check_requirements(real)
    with pytest.raises(ValueError, match=r"metrics\.weights must be null .* got w\.pth"):
        Evaluation(make_toy_evaluation().scores, 20, "fd_toy", "min", extractor=ToyExtractor, weights="w.pth")


def test_scores_that_need_more_images_are_refused_before_any_is_read() -> None:
    x = random_images(31, seed=0)
    labelled = replace(
        make_reference(x), labels=torch.arange(31) % 3, held_out=make_reference(random_images(20, seed=1))
    )

    def assert_refused(score: Any, match: str, real: Reference = labelled, num_samples: int = 40) -> None:
        evaluation = Evaluation({"it": score}, num_samples, score.metric_names("toy")[0], "min", extractor=ToyExtractor)
        with pytest.raises(ValueError, match=match):
            evaluation.check_requirements(real)
        assert evaluation.feature_extractor.num_images == 0  # type: ignore[attr-defined]

    assert_refused(
        KernelDistance(subset_size=50), r"metrics\.num_samples must be at least 50 for the score it .* got 40"
    )
    assert_refused(
        KernelDistance(subset_size=35), r"metrics\.scores\.it must be .* 31 images of noise \(train\), .* needs 35"
    )
    assert_refused(FrechetInfinity(), r"at least 40 for the score it of 5 features, got 39", num_samples=39)
    assert_refused(
        FrechetPerClass(3), r"metrics\.scores\.it must be left out for images without classes", make_reference(x)
    )
    assert_refused(
        Memorisation(), r"metrics\.reference must be train, .* for the score it, got train of noise", make_reference(x)
    )
    assert_refused(Memorisation(quantile=0.01), r"must be left out or set for 20 images .* needs 99")
    one_of_class_2 = replace(labelled, labels=torch.tensor([0] * 15 + [1] * 15 + [2]))
    assert_refused(FrechetPerClass(3), r"a class has fewer than 2 images, got 1 of class 2 of noise", one_of_class_2)
    evaluation = Evaluation({"cs": InceptionScore()}, 20, "cs_toy", "max", extractor=ToyExtractorWithoutClasses)
    with pytest.raises(ValueError, match=r"metrics\.scores\.cs must be left out: toy classifies nothing"):
        evaluation.check_requirements(labelled)
    with pytest.raises(ValueError, match=r"metrics\.batchnorm must be one of running, standing, batch, got stading"):
        Evaluation({}, 20, None, "min", batchnorm="stading")  # type: ignore[arg-type]


class ToyExtractorWithoutClasses(ToyExtractor):
    num_classes = 0


def test_flipped_training_images_are_read_if_d_sees_them() -> None:
    real = random_images(30, seed=0)
    evaluation = Evaluation({"m": Memorisation(quantile=0.1)}, 30, None, "min", extractor=ToyExtractor, batch_size=7)
    unflipped = replace(make_reference(real), held_out=make_reference(random_images(20, seed=2)))
    assert evaluation.extract_real(unflipped, CPU).flipped_features is None
    flipped = evaluation.extract_real(replace(unflipped, has_flips=True), CPU).flipped_features
    assert flipped is not None
    torch.testing.assert_close(flipped, ToyExtractor()(real.flip(-1)).features)


def test_labels_and_held_out_images_reach_the_scores() -> None:
    real, fake = random_images(60, seed=0), random_images(60, seed=1)
    labelled = replace(
        make_reference(real), labels=torch.arange(60) % 2, held_out=make_reference(random_images(20, seed=2))
    )
    scores = {"per_class": FrechetPerClass(2), "memorisation": Memorisation(quantile=0.1)}
    evaluation = Evaluation(scores, 60, None, "min", extractor=ToyExtractor, batch_size=7)
    real_features = evaluation.extract_real(labelled, CPU)
    result = score_images(evaluation, fake, real_features, torch.arange(60) % 2)
    assert 0.2 < result["nearer_toy"] < 0.8
    assert result["fd_toy_class_mean"] > 0
    copied = score_images(evaluation, real, real_features, torch.arange(60) % 2)
    assert (copied["nearer_toy"], copied["copies_toy"]) == (1, 1)
    assert copied["fd_toy_class_mean"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="metrics must be without scores per class for samples without classes"):
        score_images(evaluation, fake, real_features)


def test_the_report_is_the_same_evaluation_with_other_latents_and_more_scores() -> None:
    report = ReportSettings(num_samples=30, seed=5, scores={"manifold": PrecisionRecall()})
    evaluation = Evaluation(
        {"fd": FrechetDistance()}, 20, "fd_toy", "min", extractor=ToyExtractor, batchnorm="batch", report=report
    )
    extractor = evaluation.feature_extractor
    full = evaluation.report_evaluation
    assert full.feature_extractor is extractor  # a large one is built once
    assert (full.num_samples, full.seed, full.batchnorm) == (30, 5, "batch")
    assert list(full.scores) == ["fd", "manifold"]
    assert full.report_evaluation == full


class OverflowingExtractor(ToyExtractor):
    def forward(self, x: Tensor) -> ExtractorOutput:
        return ExtractorOutput(torch.full((len(x), 5), torch.inf), super().forward(x).probabilities)


def test_features_that_are_not_finite_are_the_fault_of_the_extractor_where_images_are_bytes() -> None:
    evaluation = Evaluation({"fd": FrechetDistance()}, 20, "fd_toy", "min", extractor=OverflowingExtractor)
    with pytest.raises(ValueError, match=r"^metrics\.extractor must give finite features, got .* for 31 of 31 images$"):
        evaluation.extract_real(make_reference(random_images(31, seed=0)), CPU)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.int16])
def test_integers_other_than_bytes_are_refused_by_the_extractor(dtype: torch.dtype) -> None:
    evaluation = Evaluation(
        {"fd": FrechetDistance()}, 20, "fd_digits", "min", extractor=lambda: load_small_net("digits")
    )
    with pytest.raises(ValueError, match=r"images must be uint8 \[N, 1 or 3, H, W\], got torch\."):
        evaluation.extract_samples(slice_source(torch.ones(20, 1, 8, 8, dtype=dtype)), CPU)


def test_scores_of_too_few_samples_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    real = make_reference(random_images(30, seed=0))
    scores = {"fd": FrechetDistance(), "cs": InceptionScore()}

    def warn(num_samples: int) -> list[str]:
        caplog.clear()
        evaluation = Evaluation(scores, num_samples, "fd_toy", "min", extractor=ToyExtractor)
        evaluation.check_requirements(real, "num_samples")
        return caplog.messages

    assert warn(1000) == []
    (line,) = warn(999)
    assert line == (
        "the score cs of 999 samples says little: the score of a split is at most the number of its samples, "
        "one 10th of all. Score 1000 or more (num_samples)"
    )
    del scores["cs"]
    assert warn(6) == []
    (line,) = warn(5)
    assert line.startswith("the score fd of 5 samples says little: a covariance of 5 features is singular")
