"""Lower or higher: the direction of every score that Gantry has."""

import pytest

from gantry.compare.score_direction import Direction, get_direction
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.frechet_infinity import FrechetInfinity
from gantry.metrics.frechet_per_class import FrechetPerClass
from gantry.metrics.inception_score import InceptionScore
from gantry.metrics.kid import KernelDistance
from gantry.metrics.memorisation import Memorisation
from gantry.metrics.mode_coverage import ClassModeCoverage, MixtureModeCoverage
from gantry.metrics.precision_recall import PrecisionRecall
from gantry.metrics.score import Score

LOWER = [FrechetDistance(), FrechetInfinity(), FrechetPerClass(3), KernelDistance()]
HIGHER = [InceptionScore(), PrecisionRecall()]


@pytest.mark.parametrize("extractor", ["digits", "inception-v3-compat"])
@pytest.mark.parametrize(
    ("score", "direction"),
    [*((score, Direction.LOWER) for score in LOWER), *((score, Direction.HIGHER) for score in HIGHER)],
    ids=lambda value: type(value).__name__,
)
def test_scores_of_one_direction(score: Score, direction: Direction, extractor: str) -> None:
    assert {get_direction(name) for name in score.metric_names(extractor)} == {direction}


def test_scores_of_several_directions() -> None:
    names = [name for one in (MixtureModeCoverage, ClassModeCoverage) for name in one.metric_names(one, "ring")]  # type: ignore[arg-type]
    directions = {name: get_direction(name) for name in names}
    assert directions.pop("kl") == Direction.LOWER
    assert set(directions.values()) == {Direction.HIGHER}
    nearer, copies = Memorisation().metric_names("digits")
    assert get_direction(nearer) == Direction.NEITHER  # one half is right
    assert get_direction(copies) == Direction.LOWER
    assert get_direction("my_score") == Direction.NEITHER
