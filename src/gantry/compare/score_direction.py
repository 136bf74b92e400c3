"""Tell from the name of a score if lower or higher is better."""

from enum import IntEnum

LOWER_IS_BETTER = {"fd", "fid", "kd", "kid", "kl", "copies"}
HIGHER_IS_BETTER = {"cs", "is", "precision", "recall", "density", "coverage", "overlap", "modes", "high"}


class Direction(IntEnum):
    """The sign that sorts the best score first; 0 if neither low nor high is better, or that is not known."""

    LOWER = 1
    HIGHER = -1
    NEITHER = 0


def get_direction(score: str) -> Direction:
    """Return the direction of a score of Gantry's: `fd_digits` is LOWER, `precision` HIGHER, a user's own NEITHER."""
    stem = score.partition("_")[0]
    if stem in LOWER_IS_BETTER:
        return Direction.LOWER
    return Direction.HIGHER if stem in HIGHER_IS_BETTER else Direction.NEITHER
