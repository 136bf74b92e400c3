"""A few of many."""

from gantry.values import evenly_spaced


def test_first_and_last_are_in_it_and_none_is_twice() -> None:
    assert evenly_spaced(101, 3) == [0, 50, 100]
    assert evenly_spaced(4, 12) == [0, 1, 2, 3]
    assert evenly_spaced(5, 1) == [0]
    assert evenly_spaced(5, 0) == evenly_spaced(0, 5) == []
    for total in range(2, 60):
        for most in range(2, total + 1):
            found = evenly_spaced(total, most)
            assert (found[0], found[-1], len(set(found))) == (0, total - 1, most)
