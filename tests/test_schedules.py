"""Schedules at times that are known by hand."""

import pytest

from gantry.schedules import Clock, Schedule, compute_number, constant, cosine, exponential, linear, steps


def at(progress: float) -> Clock:
    """A clock of 200 turns of 0.5 kimg."""
    return Clock(turn=round(200 * progress), kimg=100 * progress, progress=progress)


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_schedules_go_from_start_to_end(schedule: Schedule) -> None:
    assert schedule(at(0.0)) == 1.0
    assert schedule(at(1.0)) == pytest.approx(0.0)
    assert schedule(at(1.0), end=0.25) == pytest.approx(0.25)  # type: ignore[call-arg]
    assert schedule(at(0.5)) == pytest.approx(0.5)
    assert schedule(at(0.5), start=0.0, end=3.0) == pytest.approx(1.5)  # type: ignore[call-arg]


def test_intermediate_values() -> None:
    assert linear(at(0.25)) == pytest.approx(0.75)
    assert cosine(at(0.25)) == pytest.approx((2 + 2**0.5) / 4)
    assert constant(at(0.7)) == 1.0
    assert constant(at(0.7), value=3.0) == 3.0


@pytest.mark.parametrize("schedule", [linear, cosine])
@pytest.mark.parametrize("length", [{"kimg": 50.0}, {"turns": 100}])
def test_a_change_shorter_than_the_run_stays_at_its_end(schedule: Schedule, length: dict[str, float]) -> None:
    values = [schedule(at(progress), start=0.9, end=0.99, **length) for progress in (0.0, 0.25, 0.5, 0.9)]  # type: ignore[call-arg]
    assert values == pytest.approx([0.9, 0.945, 0.99, 0.99])


def test_exponential_falls_in_whole_periods_down_to_its_end() -> None:
    assert exponential(at(0.1), factor=0.99, kimg=5.0) == pytest.approx(0.99**2)
    assert exponential(at(0.145), factor=0.99, kimg=5.0) == pytest.approx(0.99**2)
    assert exponential(at(0.1), factor=0.5, start=4.0, turns=10) == pytest.approx(1.0)
    assert exponential(at(1.0), factor=0.5, end=0.25, kimg=5.0) == 0.25


def test_steps_change_at_their_times() -> None:
    values = [steps(at(progress), values=[3.0, 2.0, 1.0], kimg=[10.0, 50.0]) for progress in (0.0, 0.09, 0.1, 0.5, 1.0)]
    assert values == [3.0, 3.0, 2.0, 1.0, 1.0]
    for wrong in ([10.0], [50.0, 10.0]):
        with pytest.raises(ValueError, match=r"^steps must have rising kimg and one value more than these, got "):
            steps(at(0.0), values=[3.0, 2.0, 1.0], kimg=wrong)


def test_a_number_is_constant_or_scheduled() -> None:
    assert compute_number(0.3, at(0.5)) == 0.3
    assert compute_number(linear, at(0.5)) == pytest.approx(0.5)
