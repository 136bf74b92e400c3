"""DiffAugment (Zhao et al. 2020): random differentiable augmentation of all images that D sees, real and fake.

Every function is x [N, C, H, W] -> [N, C, H, W], differentiable, with independent random numbers for each image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry import rng


@dataclass(frozen=True)
class DiffAugment:
    """Colour jitter, translation by up to `translation` of the side, cutout of `cutout` of the side; 0 disables one.

    Colours may leave [-1, 1], as in the paper: clamping would cut off the gradient.
    """

    color: bool
    translation: float
    cutout: float

    def __post_init__(self) -> None:
        for key, fraction in (("translation", self.translation), ("cutout", self.cutout)):
            if not 0 <= fraction <= 1:
                raise ValueError(f"augment.{key} must be in [0, 1], got {fraction}")

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
    """Add a number in [-0.5, 0.5) to every pixel of an image."""
    return x + (_rand_per_image(x) - 0.5)


def rand_saturation(x: Tensor) -> Tensor:
    """Scale the distance of each pixel from its own mean over the channels by a factor in [0, 2)."""
    mean = x.mean(1, keepdim=True)
    return torch.lerp(mean, x, 2 * _rand_per_image(x))


def rand_contrast(x: Tensor) -> Tensor:
    """Scale the distance from the mean of the image by a factor in [0.5, 1.5)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, 0.5 + _rand_per_image(x))


def rand_translation(x: Tensor, fraction: float) -> Tensor:
    """Shift by whole pixels, up to `fraction` of the side in each direction; new pixels are 0 (mid-grey)."""
    height, width = x.shape[2:]
    rows = _shift_indices(height, randint_per_image(x, -round(height * fraction), round(height * fraction)))
    columns = _shift_indices(width, randint_per_image(x, -round(width * fraction), round(width * fraction)))
    return take_pixels(torch.nn.functional.pad(x, (1, 1, 1, 1)), rows, columns)


def take_pixels(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return each image at its own rows [N, H'] and columns [N, W']: x [N, C, H, W] -> [N, C, H', W']."""
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def rand_cutout(x: Tensor, fraction: float) -> Tensor:
    """Set a rectangle of `fraction` of the sides to 0, centred at any point: part of it may lie outside."""
    rows, columns = _cutout_mask(x, x.shape[2], fraction), _cutout_mask(x, x.shape[3], fraction)
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _rand_per_image(x: Tensor) -> Tensor:
    """Draw one number in [0, 1) for each image: -> [N, 1, 1, 1]."""
    return rng.rand(len(x), 1, 1, 1, device=x.device).to(x.dtype)


def randint_per_image(x: Tensor, low: int, high: int) -> Tensor:
    """Draw one integer for each image, low and high included: -> int64 [N]."""
    return (low + (rng.rand(len(x), device=x.device) * (high - low + 1)).floor()).long()


def _shift_indices(side: int, shift: Tensor) -> Tensor:
    """Return for each position its source index in an image padded by 1: shift [N] -> [N, side]."""
    position = torch.arange(side, device=shift.device) + 1
    return (position - shift[:, None]).clamp(0, side + 1)


def _cutout_mask(x: Tensor, side: int, fraction: float) -> Tensor:
    """Mark for each image a run of round(side fraction) positions around a random one: -> bool [N, side]."""
    length = round(side * fraction)
    start = randint_per_image(x, 0, side - length % 2)[:, None] - length // 2
    position = torch.arange(side, device=x.device)
    return (position >= start) & (position < start + length)
