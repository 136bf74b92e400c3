"""What a score is, and what it is called: "FID", "IS" and "KID" belong to the features of Inception-v3."""

from typing import ClassVar, Protocol

from gantry.metrics.collected import Collected

INCEPTION = "inception"  # the name of the extractor with the published weights (2015-12-05), and of no other
PUBLISHED = {"fd": "fid", "cs": "is", "kd": "kid"}


class Score(Protocol):
    """(real, fake) -> a number for each of the names; a frozen dataclass whose fields enter the protocol."""

    keeps_features: ClassVar[bool]

    def names(self, extractor: str) -> tuple[str, ...]:
        """What the numbers are called with this extractor."""
        ...

    def __call__(self, real: Collected, fake: Collected, /) -> tuple[float, ...]: ...


def metric_name(kind: str, extractor: str) -> str:
    """`fd` -> `fid` for Inception-v3, `fd_digits` for "digits"; `cs_std` -> `is_std` and `cs_digits_std`."""
    stem, *suffix = kind.split("_", 1)
    own = [PUBLISHED.get(stem, stem)] if extractor == INCEPTION else [stem, extractor]
    return "_".join([*own, *suffix])
