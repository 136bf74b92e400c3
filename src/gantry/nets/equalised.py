"""Layers with an equalised learning rate (Karras et al. 2018, section 4.1): weights start as N(0, 1) and are scaled by
1 / sqrt(fan_in) at each use, so that Adam's steps are of one relative size in all layers."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry.nets.layers import LEAKY_SLOPE, embed
from gantry.nets.resample import Resample, make_downsample, make_upsample

ACTIVATION_GAIN = math.sqrt(2)  # keeps the mean square of the signal, nearly: 2 / (1 + 0.2^2) is exact
EPSILON = 1e-8


def activate(x: Tensor, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """Return sqrt(2) gain leaky_relu(x), within +-gain clamp."""
    x = F.leaky_relu(x, LEAKY_SLOPE) * (ACTIVATION_GAIN * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def normalise_second_moment(x: Tensor) -> Tensor:
    """Return x [N, F] with a mean square of 1 in each row."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()


class EqualLinear(nn.Module):
    """x [N, i] -> [N, o]. `lr` multiplies the learning rate: weights and biases start larger and are scaled down."""

    def __init__(self, i: int, o: int, *, bias: float = 0.0, lr: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i) / lr)
        self.bias = nn.Parameter(torch.full((o,), bias / lr))
        self.gain, self.lr = lr / math.sqrt(i), lr

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.lr)


class EqualEmbedding(nn.Module):
    """c int64 [N], or a vector float [N, K] -> [N, o]: `EqualLinear` of the one-hot class."""

    def __init__(self, num_classes: int, o: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, o))
        self.bias = nn.Parameter(torch.zeros(o))
        self.gain = 1 / math.sqrt(num_classes)

    def forward(self, c: Tensor) -> Tensor:
        return embed(c, self.weight) * self.gain + self.bias


class EqualConv(nn.Module):
    """x [N, i, H, W] -> [N, o, H, W], or half or twice the side with `down` or `up` (by a 1x1 convolution alone)."""

    def __init__(self, i: int, o: int, kernel: int, *, bias: bool = True, down: bool = False, up: bool = False) -> None:
        super().__init__()
        assert not (up and kernel > 1)
        self.weight = nn.Parameter(torch.randn(o, i, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None
        self.gain = 1 / math.sqrt(self.weight[0].numel())
        filtered = down and kernel == 3  # before a convolution of stride 2, which takes (2, 2) in place of (1, 1)
        self.stride, self.padding = (2, 0) if filtered else (1, kernel // 2)
        self.before: nn.Module = Resample(padding=(2, 2)) if filtered else make_downsample() if down else nn.Identity()
        self.after: nn.Module = make_upsample() if up else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(self.before(x), self.weight * self.gain, self.bias, self.stride, self.padding)
        return self.after(x)


class ModulatedConv(nn.Module):
    """x [N, i, H, W], w [N, w_dim] -> [N, o, H, W], or [N, o, 2H, 2W] with `up` (Karras et al. 2020, eq. 1 and 3).

    The weights are scaled for each sample: by the style s = affine(w) of each input channel, then, if demodulated, to
    length 1 for each output channel. Both are scales of the input and of the output of one convolution.
    """

    def __init__(self, i: int, o: int, kernel: int, w_dim: int, *, demodulate: bool = True, up: bool = False) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, i, bias=1.0)
        self.weight = nn.Parameter(torch.randn(o, i, kernel, kernel))
        self.gain = 1 / math.sqrt(self.weight[0].numel())
        self.demodulate, self.padding = demodulate, kernel // 2
        self.blur = Resample(padding=(1, 1), gain=4.0) if up else None  # of a transposed convolution of 3x3

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s, weight = self.affine(w), self.weight * self.gain
        x = x * s.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            x = F.conv2d(x, weight, padding=self.padding)
        else:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        return x * compute_demodulation(weight, s).to(x.dtype)[:, :, None, None] if self.demodulate else x


def compute_demodulation(weight: Tensor, s: Tensor) -> Tensor:
    """Return 1 / |weight s| for each sample and output channel: weight [o, i, k, k], s [N, i] -> [N, o]."""
    with torch.autocast(weight.device.type, enabled=False):
        return (s.to(weight.dtype).square() @ weight.square().sum((2, 3)).T + EPSILON).rsqrt()


def append_deviation(x: Tensor, group: int) -> Tensor:
    """Append the variety of each group of consecutive samples as a channel (Karras et al. 2018, section 3).

    x [N, C, H, W] -> [N, C + 1, H, W]: the standard deviation over the group, averaged over channels and pixels. If
    `group` does not divide N, the last group is smaller. Groups of consecutive samples make a batch in parts, or on
    several processes, equal to the batch as one.
    """
    parts = torch.split(x, len(x) // group * group or len(x))
    deviation = torch.cat([compute_deviation(part, min(group, len(part))) for part in parts])
    return torch.cat([x, deviation.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


def compute_deviation(x: Tensor, group: int) -> Tensor:
    """Return the mean standard deviation of each sample's group: x [N, C, H, W] -> [N], N a multiple of `group`."""
    x = x.to(torch.promote_types(x.dtype, torch.float32)).view(-1, group, *x.shape[1:])
    deviation = ((x - x.mean(1, keepdim=True)).square().mean(1) + EPSILON).sqrt()
    return deviation.mean((1, 2, 3)).repeat_interleave(group)
