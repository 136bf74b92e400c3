"""The image sides that the convolutional nets can build; without torch, so that a wrong side is refused at once."""

from collections.abc import Sequence

BASE_SIDES = range(4, 8)
MAX_LISTED_SIDE = 512


def factor_side(shape: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Factor the sides of a shape (C, H, W) into (H, W) = (h 2^n, w 2^n), n >= 1 -> the unique ((h, w), n).

    The smaller of h and w is in 4..7. Raises ValueError for every other shape, with the rule.
    """
    short, long = (min(shape[1:]), max(shape[1:])) if len(shape) == 3 else (0, 0)
    for base in BASE_SIDES:
        n = max(1, (short // base).bit_length() - 1)
        if short == base << n:
            if long % (1 << n):
                rule = f"a longer side that is a multiple of {1 << n}, as the shorter one, {short}, is"
                raise ValueError(f"data.shape must have {rule} for this model, got {_format_shape(shape)}")
            return (shape[1] >> n, shape[2] >> n), n
    which = "shorter side" if short != long else "side"
    raise ValueError(f"data.shape must have a {which} of {_format_sides()} for this model, got {_format_shape(shape)}")


def choose_widths(key: str, shape: Sequence[int], widths: Sequence[int]) -> tuple[tuple[int, int], list[int]]:
    """Return the coarsest (h, w) of a shape, and those of `widths`, a number for each side from there on, that it has.

    Raises ValueError, naming the key of the widths, if they are too few.
    """
    (h, w), n = factor_side(shape)
    if len(widths) <= n:
        sides = f"{h}x{w}, ..., {shape[1]}x{shape[2]}"
        raise ValueError(f"{key} must have at least {n + 1} numbers for the sides {sides}, got {list(widths)}")
    return (h, w), list(widths[: n + 1])


def _format_sides() -> str:
    sides = sorted(base << n for base in BASE_SIDES for n in range(1, 8))
    return ", ".join(str(side) for side in sides if side <= MAX_LISTED_SIDE)


def _format_shape(shape: Sequence[int]) -> str:
    square = len(shape) == 3 and shape[1] == shape[2]
    return str(shape[1]) if square else "x".join(map(str, shape))
