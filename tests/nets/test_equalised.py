"""Layers of StyleGAN2 against their definitions, in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from gantry.nets.equalised import (
    EqualConv,
    EqualEmbedding,
    EqualLinear,
    ModulatedConv,
    activate,
    append_deviation,
    normalise_second_moment,
)
from gantry.nets.resample import Resample, make_downsample, make_upsample

N, IN, OUT, W = 3, 4, 5, 6


def convolve_by_definition(x: Tensor, weight: Tensor, up: bool) -> Tensor:
    """One sample [i, H, W]: the plain convolution, or zeros between the pixels, convolution, filter of four taps."""
    if not up:
        return F.conv2d(x[None], weight, padding=weight.shape[-1] // 2)[0]
    spread = x.new_zeros(x.shape[0], 2 * x.shape[1] + 3, 2 * x.shape[2] + 3)
    spread[:, 2:-1:2, 2:-1:2] = x
    wide = F.conv2d(spread[None], weight.flip(2, 3))
    return Resample(padding=(1, 1), gain=4.0).double()(wide)[0]


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize(("kernel", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_convolution_equals_a_loop_over_samples(demodulate: bool, kernel: int, up: bool) -> None:
    """Karras et al. 2020, eq. 1 and 3."""
    torch.manual_seed(0)
    layer = ModulatedConv(IN, OUT, kernel, W, demodulate=demodulate, up=up).double()
    x, w = torch.randn(N, IN, 6, 8).double(), torch.randn(N, W).double()
    expected = []
    for image, style in zip(x, w):
        s = layer.affine.weight @ style / math.sqrt(W) + layer.affine.bias
        weight = layer.weight / math.sqrt(IN * kernel**2) * s[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(convolve_by_definition(image, weight, up))
    assert_close(layer(x, w), torch.stack(expected))
    assert expected[0].shape == (OUT, 12, 16) if up else (OUT, 6, 8)


def test_styles_start_at_one() -> None:
    layer = ModulatedConv(IN, OUT, 3, W)
    assert_close(layer.affine(torch.zeros(N, W)), torch.ones(N, IN))


def test_demodulation_ignores_the_scale_of_the_style() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(IN, OUT, 3, W).double()
    x, w = torch.randn(N, IN, 6, 6).double(), torch.randn(N, W).double()
    before = layer(x, w)
    layer.affine.weight.data *= 7
    layer.affine.bias.data *= 7
    assert_close(layer(x, w), before, rtol=1e-6, atol=1e-6)


def test_demodulation_keeps_its_precision_under_autocast() -> None:
    torch.manual_seed(0)
    layer, x, w = ModulatedConv(64, 8, 3, W), torch.randn(N, 64, 8, 8), torch.randn(N, W)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x, w)
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), layer(x, w), rtol=0.05, atol=0.05)


def test_modulated_convolution_is_differentiable_twice() -> None:
    """The length of paths is a gradient by w, which G's update differentiates once more."""
    torch.manual_seed(0)
    layer = ModulatedConv(2, 2, 3, 3, up=True).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x, w))


@pytest.mark.parametrize("lr", [1.0, 0.01])
def test_learning_rate_multiplier(lr: float) -> None:
    """The first output has the spread 1 for any multiplier; a step changes it lr times as much."""
    torch.manual_seed(0)
    layer = EqualLinear(400, 50, bias=0.5, lr=lr).double()
    x = torch.randn(200, 400).double()
    y = layer(x)
    assert y.std().item() == pytest.approx(1, rel=0.05)
    assert y.mean().item() == pytest.approx(0.5, abs=0.05)
    assert_close(y, x @ layer.weight.T * lr / 20 + lr * layer.bias)
    layer.weight.data += 0.1  # a step of Adam, which is the same for all weights
    assert_close(layer(x) - y, (x.sum(1, keepdim=True) * 0.1 * lr / 20).expand_as(y))


def test_embedding_of_a_class_and_of_a_vector() -> None:
    torch.manual_seed(0)
    layer = EqualEmbedding(4, 7)
    layer.bias.data.normal_()
    c = torch.tensor([2, 0, 3])
    assert_close(layer(c), layer.weight[c] / 2 + layer.bias)
    assert_close(layer(torch.eye(4)[c]), layer(c))


KINDS = [(3, False, False), (1, False, False), (3, True, False), (1, True, False), (1, False, True)]


@pytest.mark.parametrize(("kernel", "down", "up"), KINDS)
def test_convolutions_and_their_filters(kernel: int, down: bool, up: bool) -> None:
    torch.manual_seed(0)
    layer = EqualConv(IN, OUT, kernel, down=down, up=up).double()
    assert layer.bias is not None
    layer.bias.data.normal_()
    x = torch.randn(N, IN, 8, 6).double()
    weight = layer.weight / math.sqrt(IN * kernel**2)
    if down and kernel == 3:  # filter all pixels, keep every second one of the convolution
        blurred = Resample(padding=(2, 2)).double()(x)
        expected = F.conv2d(blurred, weight)[:, :, ::2, ::2] + layer.bias[:, None, None]
    elif down:
        expected = make_downsample().double()(F.conv2d(x, weight)) + layer.bias[:, None, None]
    else:
        expected = F.conv2d(x, weight, layer.bias, padding=kernel // 2)
    expected = make_upsample().double()(expected) if up else expected
    assert_close(layer(x), expected)


def test_activation() -> None:
    x = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0])
    assert_close(activate(x, gain=0.5), torch.tensor([-20.0, -0.2, 0.0, 1.0, 100.0]) * math.sqrt(2) / 2)
    assert_close(activate(x, gain=0.5, clamp=10.0)[[0, -1]], torch.tensor([-5.0, 5.0]))
    assert_close(normalise_second_moment(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / math.sqrt(12.5))


def deviation_of(x: np.ndarray, group: int) -> list[float]:
    """For each sample: the deviation over its group of consecutive samples, biased, averaged over all else."""
    parts = [x[i : i + group] for i in range(0, len(x), group)]
    return [float(np.sqrt(part.var(0) + 1e-8).mean()) for part in parts for _ in part]


@pytest.mark.parametrize(("n", "group"), [(8, 4), (8, 8), (6, 2), (3, 1), (10, 4), (3, 8)])
def test_minibatch_deviation_equals_numpy(n: int, group: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(n, 3, 4, 5).double()
    y = append_deviation(x, group)
    assert y.shape == (n, 4, 4, 5)
    assert torch.equal(y[:, :3], x)
    expected = torch.tensor(deviation_of(x.numpy(), group), dtype=torch.float64)
    assert_close(y[:, 3], expected[:, None, None].expand(n, 4, 5))


def test_minibatch_deviation_of_parts_is_that_of_the_batch() -> None:
    x = torch.randn(12, 2, 3, 3)
    parts = torch.cat([append_deviation(part, 3) for part in (x[:6], x[6:9], x[9:])])
    assert_close(append_deviation(x, 3), parts)


def test_minibatch_deviation_is_differentiable_twice() -> None:
    """R1 passes through it; equal images have a finite slope."""
    x = torch.randn(4, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: append_deviation(x, 2), x)
    same = torch.ones(4, 1, 2, 2, requires_grad=True)
    append_deviation(same, 4).sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()
