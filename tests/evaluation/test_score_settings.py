"""The settings that a number depends on."""

from typing import Any

import pytest

from compose_config import list_choices
from gantry.evaluation.score_settings import METRIC_KINDS, PLAIN_METRICS, find_score_differences, find_scores
from gantry.features.extractor import INCEPTION
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.frechet_infinity import FrechetInfinity
from gantry.metrics.frechet_per_class import FrechetPerClass
from gantry.metrics.inception_score import InceptionScore
from gantry.metrics.kid import KernelDistance
from gantry.metrics.memorisation import Memorisation
from gantry.metrics.mode_coverage import ClassModeCoverage, MixtureModeCoverage
from gantry.metrics.precision_recall import PrecisionRecall

SCORES: dict[str, Any] = {
    "frechet": FrechetDistance(),
    "inception_score": InceptionScore(),
    "kid": KernelDistance(),
    "manifold": PrecisionRecall(),
    "memorisation": Memorisation(),
    "infinity": FrechetInfinity(),
    "per_class": FrechetPerClass(11),
}
EXTRACTORS = ["digits", "my_own.net", INCEPTION]


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("name", SCORES)
def test_every_number_of_a_score_is_known_to_be_of_that_score(name: str, extractor: str) -> None:
    protocol = {"extractor": extractor, "scores": {key: {} for key in [*SCORES, "mine"]}}
    for metric in SCORES[name].metric_names(extractor):
        assert find_scores(protocol, metric) == {name}


def test_numbers_without_an_extractor_are_known_too() -> None:
    protocol = {"extractor": "points", "scores": {"modes": {}, "mine": {}}}
    modes = MixtureModeCoverage(((0.0, 0.0),), 0.1).metric_names("points")
    assert {metric: find_scores(protocol, metric) for metric in modes} == {metric: {"modes"} for metric in modes}
    stacked = {"extractor": "mnist", "scores": {"class_modes": {}, "frechet": {}}}
    for metric in ClassModeCoverage().metric_names("mnist"):
        assert find_scores(stacked, metric) == {"class_modes"}


def test_every_choice_of_score_is_known() -> None:
    assert {*list_choices("metrics/score"), "modes"} == METRIC_KINDS.keys() | PLAIN_METRICS.keys()


def test_an_unknown_number_depends_on_all_scores_that_are_not_gantrys() -> None:
    protocol = {"extractor": "digits", "scores": {"frechet": {}, "mine": {}, "yours": {}}}
    assert find_scores(protocol, "sharpness") == {"mine", "yours"}
    assert find_scores(protocol, "precision") == {"mine", "yours"}  # a user's, without the extractor
    assert find_scores(protocol, "kd_digits") == {"frechet", "mine", "yours"}  # of a score with a name of its own
    assert find_scores({"extractor": "digits", "scores": {"frechet": {}}}, "sharpness") == {"frechet"}


def test_settings_of_one_score_change_only_its_numbers() -> None:
    a = {"extractor": "digits", "seed": 0, "scores": {"frechet": {}, "kid": {"subset_size": 1000}}}
    b = {"extractor": "digits", "seed": 0, "scores": {"frechet": {}, "kid": {"subset_size": 100}}}
    assert find_score_differences(a, b, "fd_digits") == []
    expected = ["scores.kid: {'subset_size': 1000} and {'subset_size': 100}"]
    assert [find_score_differences(a, b, name) for name in ("kd_digits", "kd_digits_std")] == [expected, expected]
    assert find_score_differences(a, b | {"seed": 1}, "fd_digits") == ["seed: 0 and 1"]
    assert find_score_differences(a, b | {"scores": {"frechet": {}}}, "kd_digits") == []  # as if one had no such score
