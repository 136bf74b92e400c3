import pytest

from gantry.training.schedules import constant, cosine, linear


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_schedules_fall_from_1_to_the_end(schedule) -> None:  # type: ignore[no-untyped-def]
    assert schedule(0.0) == 1.0
    assert schedule(1.0) == pytest.approx(0.0)
    assert schedule(1.0, end=0.25) == pytest.approx(0.25)
    assert schedule(0.5) == pytest.approx(0.5)


def test_intermediate_values() -> None:
    assert linear(0.25) == pytest.approx(0.75)
    assert cosine(0.25) == pytest.approx((2 + 2**0.5) / 4)
    assert constant(0.7) == 1.0
