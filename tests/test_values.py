"""Flat names, JSON values and evenly spaced indices."""

import math

import pytest

from gantry.values import (
    evenly_spaced,
    flatten,
    is_log_spaced,
    list_first,
    non_finite_to_none,
    to_json_values,
    unflatten,
)


def test_flatten_and_unflatten_are_inverse() -> None:
    tree = {"optim": {"lr": 1, "betas": [0, 1]}, "terms": {}, "seed": 3}
    assert flatten(tree) == {"optim.lr": 1, "optim.betas": [0, 1], "terms": {}, "seed": 3}
    assert unflatten(flatten(tree)) == tree


def test_values_are_converted_to_json_at_every_depth() -> None:
    assert to_json_values({1: ({"a": (2,)},)}) == {"1": [{"a": [2]}]}
    assert non_finite_to_none({"a": [math.inf, (0.5, math.nan)], "b": 1}) == {"a": [None, [0.5, None]], "b": 1}


def test_evenly_spaced_includes_first_and_last_without_repeats() -> None:
    assert evenly_spaced(101, 3) == [0, 50, 100]
    assert evenly_spaced(4, 12) == [0, 1, 2, 3]
    assert evenly_spaced(5, 1) == [0]
    assert evenly_spaced(5, 0) == evenly_spaced(0, 5) == []
    for total in range(2, 60):
        for most in range(2, total + 1):
            indices = evenly_spaced(total, most)
            assert (indices[0], indices[-1], len(set(indices))) == (0, total - 1, most)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([0.1, 1, 10], True),
        ([1e-5, 3e-4, 2e-3, 1e-2], True),
        ([1, 15, 30], False),  # evenly spaced, though the ratio is large
        ([0.01, 0.3, 0.55, 0.8, 0.99], False),
        ([1, 3, 10], False),  # a small ratio
        ([0, 1, 100], False),
        ([-1, 1, 100], False),
        ([5, 5], False),
        ([], False),
    ],
)
def test_numbers_over_orders_of_magnitude_are_on_a_log_scale(values: list[float], log: bool) -> None:
    assert is_log_spaced(values) == log


def test_the_first_of_many_texts_and_the_number_of_the_others() -> None:
    assert [list_first(["a", "b", "c"], most) for most in (1, 2, 3)] == ["a and 2 more", "a, b and 1 more", "a, b, c"]
