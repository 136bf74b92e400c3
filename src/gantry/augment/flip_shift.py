"""Flips and small shifts: the augmentation of consistency regularisation (Zhang et al. 2020, section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.augment.diffaugment import randint_per_image, take_pixels
from gantry.augment.warps import reflect


@dataclass(frozen=True)
class FlipShift:
    """Mirror with probability one half, then shift by up to `fraction` of the sides; what leaves is mirrored in.

    x [N, C, H, W] -> [N, C, H, W]. Of a side of 32 an eighth is 4 pixels, as in the paper.
    """

    fraction: float = 0.125
    flip: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise ValueError(f"a shift must be a fraction of the side in [0, 1), got {self.fraction}")

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = (self.draw_indices(x, side) for side in (height, width))
        if self.flip:
            flipped = randint_per_image(x, 0, 1)[:, None] == 1
            columns = torch.where(flipped, width - 1 - columns, columns)
        return take_pixels(x, rows, columns)

    def draw_indices(self, x: Tensor, side: int) -> Tensor:
        """Draw a shift for each image and return the source of each position: -> int64 [N, side]."""
        most = round(side * self.fraction)
        position = torch.arange(side, device=x.device) - randint_per_image(x, -most, most)[:, None]
        return reflect(position, 0, side - 1)
