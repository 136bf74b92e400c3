"""The image sides that the convolutional nets can build; without torch, so that a wrong side is refused at once."""

from collections.abc import Sequence

BASE_SIDES = range(4, 8)
MAX_LISTED_SIDE = 512


def factor_side(shape: Sequence[int]) -> tuple[int, int]:
    """Factor the side of a shape (C, H, W) with H = W = base * 2^n, base in 4..7 and n >= 1 -> the unique (base, n).

    Raises ValueError for every other shape, naming the sides that can be built.
    """
    side = shape[-1]
    for base in BASE_SIDES:
        n = (side // base).bit_length() - 1
        if len(shape) == 3 and shape[1] == side == base << max(n, 1):
            return base, n
    raise ValueError(f"data.shape must have a side of {_format_sides()} for this model, got {_format_shape(shape)}")


def _format_sides() -> str:
    sides = sorted(base << n for base in BASE_SIDES for n in range(1, 8))
    return ", ".join(str(side) for side in sides if side <= MAX_LISTED_SIDE)


def _format_shape(shape: Sequence[int]) -> str:
    square = len(shape) == 3 and shape[1] == shape[2]
    return str(shape[1]) if square else "x".join(map(str, shape))
