from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_extractor import Toy, cut, evaluation, images, reference

from gantry import world
from gantry.metrics.collected import Reader
from gantry.metrics.evaluation import Evaluation
from gantry.metrics.modes import PointModes
from gantry.metrics.reference import Reference
from gantry.metrics.score import Needs
from gantry.pixels import from_uint8
from ranks import on_ranks

CPU = torch.device("cpu")


def scores(x: Tensor, num_samples: int, batch_size: int = 7) -> dict[str, float]:
    made = evaluation(num_samples, batch_size=batch_size)
    return made(cut(x), made.read_real(reference(images(31, seed=0)), CPU), CPU)


CASES = [(20, 7), (15, 20), (21, 1)]  # uneven shares; of the second, one process alone does everything


def everywhere() -> list[dict[str, float]]:
    return [scores(images(count, seed=1), count, batch_size) for count, batch_size in CASES]


def everywhere_with_a_fault() -> tuple[list[dict[str, float]], str]:
    x = from_uint8(images(20, seed=0))
    x[0] = float("nan") if world.rank() == 0 else 0.0  # the first batch is process 0's
    with pytest.raises(ValueError, match="got 1 of 20") as error:
        scores(x, 20)
    return everywhere(), str(error.value)


def test_three_processes_give_the_same_numbers_and_stop_together() -> None:
    alone = everywhere()
    for results, fault in on_ranks(3, everywhere_with_a_fault):
        assert fault == "samples must be finite and in [-1, 1], got 1 of 20 that are not"
        assert same(results, alone)


@pytest.mark.slow
def test_two_processes_give_the_same_numbers() -> None:
    alone = everywhere()
    assert all(same(results, alone) for results in on_ranks(2, everywhere))


def same(results: list[dict[str, float]], expected: list[dict[str, float]]) -> bool:
    pairs = list(zip(results, expected, strict=True))
    return all(list(got) == list(value) and got == pytest.approx(value, rel=1e-9) for got, value in pairs)


def test_any_batch_size_gives_the_same_numbers() -> None:
    x = images(40, seed=1)
    for batch_size in (1, 9, 40, 100):
        assert scores(x, 40, batch_size) == pytest.approx(scores(x, 40), rel=1e-5)


def test_names_and_values() -> None:
    itself = scores(images(31, seed=0), 31)
    assert list(itself) == ["fd_toy", "cs_toy", "cs_toy_std", "kl", "modes", "kd_toy", "kd_toy_std"]
    assert itself["fd_toy"] == pytest.approx(0, abs=1e-9)
    assert 1 < itself["cs_toy"] < 4


def test_float_samples_are_rounded_to_the_same_bytes() -> None:
    x = images(20, seed=1)
    assert scores(from_uint8(x), 20) == scores(x, 20)


def test_features_are_kept_in_the_order_of_the_samples_and_only_if_asked_for() -> None:
    x = images(10, seed=0)
    reader = Reader(Toy(), 3, True, CPU)
    kept = reader.collect(cut(x), 10).features
    assert kept is not None
    torch.testing.assert_close(kept, Toy()(x).features)
    assert Reader(Toy(), 3, False, CPU).collect(cut(x), 10).features is None
    assert evaluation(kernel=False).needs == Needs.SUMS


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 255.0])
def test_samples_that_are_no_images_are_refused(wrong: float) -> None:
    x = from_uint8(images(20, seed=0))
    x[3, 0, 0, 0] = x[18, 0, 0, 0] = wrong
    with pytest.raises(ValueError, match=r"samples must be finite and in \[-1, 1\], got 2 of 20"):
        scores(x, 20)


def test_a_little_beyond_the_range_is_clamped() -> None:
    x = from_uint8(images(20, seed=0))
    assert scores(1.5 * x, 20) == scores((1.5 * x).clamp(-1, 1), 20)


def test_real_statistics_are_kept_for_the_same_images_and_extractor_only(tmp_path: Path) -> None:
    real = reference(images(31, seed=0))
    first = evaluation(cache=str(tmp_path))
    again = evaluation(cache=str(tmp_path))
    before, after = first.read_real(real, CPU), again.read_real(real, CPU)
    assert first.features.seen == 31  # type: ignore[attr-defined]
    assert again.features.seen == 0  # type: ignore[attr-defined]
    assert after.features is not None
    assert before.features is not None
    assert torch.equal(after.features, before.features)
    assert torch.equal(after.statistics.scatter, before.statistics.scatter)
    again.read_real(reference(images(31, seed=1), digest="def"), CPU)
    assert again.features.seen == 31  # type: ignore[attr-defined]


def test_points_need_no_extractor() -> None:
    points = torch.tensor([[0.5, 0.5], [-0.5, 0.5]])
    modes = PointModes(centres=((0.5, 0.5), (-0.5, 0.5)), sigma=0.01)
    made = Evaluation({"modes": modes}, 40, "overlap", "max")
    real = Reference("two", "train", "abc", 2, (2,), cut(points))
    made.check(real)
    result = made(cut(points.repeat(20, 1)), made.read_real(real, CPU), CPU)
    assert result == {"overlap": 1.0, "modes": 2.0, "high_quality": 1.0, "kl": pytest.approx(0, abs=1e-12)}


def test_mistakes_are_named() -> None:
    real = reference(images(4, seed=0))
    points = Reference("two", "train", "abc", 2, (2,), cut(torch.zeros(2, 2)))
    with pytest.raises(ValueError, match=r"metrics\.monitor must be one of fd_toy, .*, got fid"):
        Evaluation(evaluation().scores, 20, "fid", "min", extractor=Toy).check(real)
    with pytest.raises(ValueError, match=r"metrics must be modes for points"):
        evaluation().check(points)
    with pytest.raises(ValueError, match=r"metrics must be an extractor's for images"):
        Evaluation({}, 20, None, "min").check(real)
    with pytest.raises(ValueError, match=r"metrics\.weights must be null .* got w\.pth"):
        Evaluation(evaluation().scores, 20, "fd_toy", "min", extractor=Toy, weights="w.pth")
