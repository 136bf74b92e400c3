"""Convert images to the input of a network: channels, resolution, normalisation; shared by the extractors."""

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # red, green and blue in grey (ITU-R BT.601)


def resize_and_standardize(images: Tensor, size: tuple[int, int, int], mean: Tensor, std: Tensor) -> Tensor:
    """images uint8 [N, 1, 3 or size[0], H, W] -> float32 [N, *size]: (x - mean) / std of x in [0, 1].

    Grey becomes colour by repetition, colour becomes grey by luma. Images of another size are resized in float,
    bilinear and antialiased, without rounding; those of another aspect ratio are stretched. Raises ValueError for
    anything but such images.
    """
    x = convert_channels(to_float_pixels(images, size[0]) / 255, size[0])
    if x.shape[1:] != size:
        x = F.interpolate(x, size[1:], mode="bilinear", antialias=True)
    return (x - mean) / std


def composite_opacity(images: Tensor) -> Tensor:
    """images uint8 [N, C + 1, H, W], the last channel opacity -> uint8 [N, C, H, W], laid on white and rounded."""
    opacity = images[:, -1:].float() / 255
    return (images[:, :-1] * opacity + 255 * (1 - opacity)).round().to(torch.uint8)


def get_accepted_channels(channels: int) -> tuple[int, ...]:
    """Return the numbers of channels of images that a network of `channels` takes: grey and RGB become each other."""
    return (1, 3) if channels in (1, 3) else (channels,)


def to_float_pixels(images: Tensor, channels: int = 3) -> Tensor:
    """images uint8 [N, 1 or 3, H, W] -> float32 in [0, 255]; `channels` other than 1 and 3 stand for themselves alone.

    Raises ValueError for anything else.
    """
    allowed = get_accepted_channels(channels)
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] not in allowed:
        got = f"{images.dtype} {list(images.shape)}"
        raise ValueError(f"images must be uint8 [N, {' or '.join(map(str, allowed))}, H, W], got {got}")
    return images.float()


def convert_channels(x: Tensor, channels: int) -> Tensor:
    """x [N, 1 or 3, H, W] -> [N, channels, H, W]; channels is 1 or 3 as well."""
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.repeat(1, 3, 1, 1)
    return (x * x.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)).sum(1, keepdim=True)
