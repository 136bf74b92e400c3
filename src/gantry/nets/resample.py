"""Resampling of images with a FIR filter (Zhang 2019; Karras et al. 2019, with the taps 1, 3, 3, 1).

The signal is defined by four steps: put `up` - 1 zeros behind each pixel, pad with zeros, convolve with the filter,
keep every `down`-th pixel. They are one depthwise convolution here, transposed where `up` > 1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = (1.0, 3.0, 3.0, 1.0)


class Resample(nn.Module):
    """x [N, C, H, W] -> [N, C, (H up + p - k) // down + 1, ...] with k taps and p pixels of padding, of any side.

    The filter is the outer product of `taps` with themselves, with the sum `gain`. `padding` is (before, after), in
    pixels between the steps; negative numbers crop. It has no parameters, and its buffer is not part of the state.
    """

    kernel: Tensor

    def __init__(
        self,
        taps: Sequence[float] = TAPS,
        up: int = 1,
        down: int = 1,
        padding: tuple[int, int] = (0, 0),
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.up, self.down, self.padding = up, down, padding
        line = torch.tensor(taps, dtype=torch.float32)
        line = line / line.sum()
        self.register_buffer("kernel", gain * torch.outer(line, line), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels, k = x.shape[1], len(self.kernel)
        kernel = self.kernel.to(x.dtype).expand(channels, 1, k, k)
        before, after = self.padding
        if self.up == 1:  # a convolution of signal processing: torch's, with the kernel turned around
            both = max(0, min(before, after))
            x = pad_sides(x, before - both, after - both)
            return F.conv2d(x, kernel.flip(2, 3), stride=self.down, padding=both, groups=channels)
        before, after = before - k + 1, after + self.up - k  # to the output of all positions of the filter
        both = max(0, -max(before, after))
        x = F.conv_transpose2d(x, kernel, stride=self.up, padding=both, groups=channels)
        return pad_sides(x, before + both, after + both)[:, :, :: self.down, :: self.down]


def pad_sides(x: Tensor, before: int, after: int) -> Tensor:
    """Pad (or crop, below 0) the height and the width of x [N, C, H, W]."""
    return F.pad(x, (before, after, before, after)) if before or after else x


def make_upsample(taps: Sequence[float] = TAPS, factor: int = 2) -> Resample:
    """Return a layer that multiplies the side and keeps the level of the image: [N, C, H, W] -> [N, C, fH, fW]."""
    k = len(taps)
    return Resample(taps, up=factor, padding=((k + factor - 1) // 2, (k - factor) // 2), gain=float(factor**2))


def make_downsample(taps: Sequence[float] = TAPS, factor: int = 2) -> Resample:
    """Return a layer that divides the side, which it must divide: [N, C, H, W] -> [N, C, H / f, W / f]."""
    k = len(taps)
    return Resample(taps, down=factor, padding=((k - factor + 1) // 2, (k - factor) // 2))
