"""No augmentation."""

from torch import Tensor


def identity(x: Tensor) -> Tensor:
    """x as it is."""
    return x
