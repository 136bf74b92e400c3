"""The scatter of a score against a number."""

import re

import pytest

from gantry.compare.page.scatter import Axis, ScatterPoint, make_axis, render_scatter


def test_values_lie_on_the_axis_in_proportion() -> None:
    assert Axis(0, 10, log=False, start=100, stop=300).place(2.5) == 150
    assert Axis(1e-4, 1, log=True, start=100, stop=300).place(1e-3) == pytest.approx(150)
    assert Axis(0, 10, log=False, start=300, stop=100).place(2.5) == 250  # pixels count from the top


def test_a_rate_over_orders_of_magnitude_has_a_log_axis() -> None:
    axis = make_axis([1e-5, 1e-4, 1e-3, 1e-2], 0, 100)
    assert axis.log
    assert axis.ticks == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert not make_axis([16, 32, 64], 0, 100).log


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0, 10, False, [0, 2, 4, 6, 8, 10]),
        (-1, 1, False, [-1, -0.5, 0, 0.5, 1]),
        (0.11, 0.19, False, [0.12, 0.14, 0.16, 0.18]),
        (9e3, 2.1e5, True, [1e4, 2e4, 5e4, 1e5, 2e5]),
        (1e-9, 1e3, True, [1e-9, 1e-6, 1e-3, 1e0, 1e3]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, log: bool, ticks: list[float]) -> None:
    assert Axis(low, high, log, 0, 1).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[3.0], [0.0], [-2.0, -2.0], [1e-300, 1e300], [0, 1e-12, 1e12]])
def test_any_finite_numbers_have_an_axis(values: list[float]) -> None:
    axis = make_axis(values, 0, 100)
    assert all(0 <= axis.place(value) <= 100 for value in values)
    assert 1 <= len(axis.ticks) <= 7


def test_points_carry_their_text_and_the_best_lies_on_top() -> None:
    points = [ScatterPoint(1, 5, 0, "<best>", best=True), ScatterPoint(2, 6, 1, "other"), ScatterPoint(4, 7, 0, "x")]
    svg = render_scatter(points, "a<b", "fd")
    assert "<best>" not in svg
    assert re.findall(r"<title>(.*?)</title>", svg) == ["other", "x", "&lt;best&gt;"]
    assert svg.count('class="interval"') == 1
    assert "a&lt;b" in svg
