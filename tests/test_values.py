"""A few of many."""

from gantry.values import spread


def test_first_and_last_are_in_it_and_none_is_twice() -> None:
    assert spread(101, 3) == [0, 50, 100]
    assert spread(4, 12) == [0, 1, 2, 3]
    assert spread(5, 1) == [0]
    assert spread(5, 0) == spread(0, 5) == []
    for total in range(2, 60):
        for most in range(2, total + 1):
            found = spread(total, most)
            assert (found[0], found[-1], len(set(found))) == (0, total - 1, most)
