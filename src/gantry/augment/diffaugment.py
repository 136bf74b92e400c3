"""DiffAugment (Zhao et al. 2020): D sees all images under random changes, and G learns through them.

Every function is x [N, C, H, W] -> [N, C, H, W], differentiable, with draws of its own for each image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry import rng


@dataclass(frozen=True)
class DiffAugment:
    """Colour, a move by up to `translation` of the side, a hole of `cutout` of the side; 0 means without.

    Colour may leave [-1, 1], as in the paper: to clamp would cut the gradient off.
    """

    color: bool
    translation: float
    cutout: float

    def __post_init__(self) -> None:
        for key, share in (("translation", self.translation), ("cutout", self.cutout)):
            if not 0 <= share <= 1:
                raise ValueError(f"augment.{key} must be in [0, 1], got {share}")

    def __call__(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError(f"augment must be none for data without images, got x of shape {list(x.shape)}")
        if self.color:
            x = rand_contrast(rand_saturation(rand_brightness(x)))
        if self.translation > 0:
            x = rand_translation(x, self.translation)
        if self.cutout > 0:
            x = rand_cutout(x, self.cutout)
        return x


def rand_brightness(x: Tensor) -> Tensor:
    """Add a number in [-0.5, 0.5)."""
    return x + (_rand_per_image(x) - 0.5)


def rand_saturation(x: Tensor) -> Tensor:
    """Scale the distance of each pixel from its own mean over the channels by a factor in [0, 2)."""
    mean = x.mean(1, keepdim=True)
    return torch.lerp(mean, x, 2 * _rand_per_image(x))


def rand_contrast(x: Tensor) -> Tensor:
    """Scale the distance from the mean of the image by a factor in [0.5, 1.5)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, 0.5 + _rand_per_image(x))


def rand_translation(x: Tensor, share: float) -> Tensor:
    """Move by whole pixels, up to `share` of the side each way; what comes into view is 0 (mid-grey)."""
    n, _, height, width = x.shape
    rows = _shift_indices(height, _randint_per_image(x, -round(height * share), round(height * share)))
    columns = _shift_indices(width, _randint_per_image(x, -round(width * share), round(width * share)))
    x = torch.nn.functional.pad(x, (1, 1, 1, 1))
    image = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def rand_cutout(x: Tensor, share: float) -> Tensor:
    """Set a rectangle of `share` of the sides to 0, around any point: part of it may fall outside."""
    inside = _cutout_mask(x, x.shape[2], share)[:, None, :, None] & _cutout_mask(x, x.shape[3], share)[:, None, None, :]
    return x * ~inside


def _rand_per_image(x: Tensor) -> Tensor:
    """One number in [0, 1) for each image: -> [N, 1, 1, 1]."""
    return rng.rand(len(x), 1, 1, 1, device=x.device).to(x.dtype)


def _randint_per_image(x: Tensor, low: int, high: int) -> Tensor:
    """One whole number for each image, low and high included: -> int64 [N]."""
    return (low + (rng.rand(len(x), device=x.device) * (high - low + 1)).floor()).long()


def _shift_indices(side: int, shift: Tensor) -> Tensor:
    """shift [N] -> [N, side], for each place the one that it comes from in an image padded by 1."""
    place = torch.arange(side, device=shift.device) + 1
    return (place - shift[:, None]).clamp(0, side + 1)


def _cutout_mask(x: Tensor, side: int, share: float) -> Tensor:
    """For each image, which places lie in a run of round(side share) around a random one: bool [N, side]."""
    length = round(side * share)
    start = _randint_per_image(x, 0, side - length % 2)[:, None] - length // 2
    place = torch.arange(side, device=x.device)
    return (place >= start) & (place < start + length)
