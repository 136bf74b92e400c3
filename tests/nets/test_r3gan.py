"""The nets of R3GAN against their formula, their published sizes, and what they refuse."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.nets.r3gan import Discriminator, Generator
from gantry.nets.resample import make_downsample, make_upsample

SMALL: dict[str, Any] = {"widths": [16, 16, 8], "blocks": [2, 1, 1], "group_size": 8}
Weights = dict[str, Tensor]


def randomise(net: nn.Module) -> tuple[nn.Module, Weights]:
    torch.manual_seed(0)
    net = net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net, dict(net.named_parameters())


def leaky(x: Tensor) -> Tensor:
    return x.clamp(min=0) + 0.2 * x.clamp(max=0)


def grouped_conv(x: Tensor, weight: Tensor, group_size: int) -> Tensor:
    """Every group by a convolution of its own."""
    parts = zip(x.split(group_size, 1), weight.split(group_size))
    return torch.cat([F.conv2d(part, kernel, padding=1) for part, kernel in parts], 1)


def mix_channels(x: Tensor, weight: Tensor) -> Tensor:
    """A 1x1 convolution."""
    return torch.einsum("oi,nihw->nohw", weight[:, :, 0, 0], x)


def block(x: Tensor, w: Weights, name: str, group_size: int) -> Tensor:
    h = leaky(mix_channels(x, w[f"{name}.branch.0.weight"]) + w[f"{name}.branch.1.bias"][:, None, None])
    h = grouped_conv(h, w[f"{name}.branch.2.weight"], group_size)
    return x + mix_channels(leaky(h + w[f"{name}.branch.3.bias"][:, None, None]), w[f"{name}.branch.4.weight"])


@pytest.mark.parametrize("vector", [False, True])
def test_generator(vector: bool) -> None:
    G, w = randomise(Generator((3, 16, 24), 5, 3, embed_dim=4, **SMALL))
    z, c = torch.randn(2, 5).double(), torch.tensor([2, 0])
    e = w["embedding"][c]
    z = torch.cat([z, e], 1)
    x = torch.einsum("nk,kc,chw->nchw", z, w["project"], w["basis"])
    assert x.shape == (2, 16, 4, 6)
    up = make_upsample().double()
    x = block(block(x, w, "stages.0.0", 8), w, "stages.0.1", 8)
    x = block(up(x), w, "stages.1.0", 8)  # 16 channels as before
    x = block(mix_channels(up(x), w["transitions.1.weight"]), w, "stages.2.0", 8)
    expected = mix_channels(x, w["to_image.weight"])
    assert_close(G(z[:, :5], torch.eye(3).double()[c] if vector else c), expected)
    assert expected.shape == (2, 3, 16, 24)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_critic(num_classes: int) -> None:
    D, w = randomise(Discriminator((3, 16, 24), num_classes, **SMALL))
    image, c = torch.randn(2, 3, 16, 24).double(), torch.tensor([2, 0])
    down = make_downsample().double()
    x = block(mix_channels(image, w["from_image.weight"]), w, "stages.0.0", 8)
    x = block(mix_channels(down(x), w["transitions.0.weight"]), w, "stages.1.0", 8)
    x = block(block(down(x), w, "stages.2.0", 8), w, "stages.2.1", 8)
    h = torch.einsum("nchw,chw,co->no", x, w["basis"], w["head"])
    expected = (h * w["embedding"][c]).sum(1) if num_classes else h[:, 0]
    assert_close(D(image, c).logits, expected)
    if num_classes:
        assert_close(D(image, torch.eye(3).double()[c]).logits, expected)


def test_first_weights() -> None:
    """N(0, gain^2 / fan_in) with the gain sqrt(2 / 1.04) / 8^(1/4) in the branches of 8 blocks, and 0 at their end."""
    torch.manual_seed(0)
    G = Generator((3, 32, 32), 64, 10, embed_dim=64, widths=[64] * 4, blocks=[2] * 4, group_size=16)
    D = Discriminator((3, 32, 32), 10, widths=[64] * 4, blocks=[2] * 4, group_size=16)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    for net in (G, D):
        for name, weight in net.named_parameters():
            if "branch.4" in name or name.endswith("bias"):
                assert weight.eq(0).all(), name
            elif "branch" in name:
                spread = weight.square().mean().sqrt().item()
                assert spread == pytest.approx(gain / math.sqrt(weight[0].numel()), rel=0.1), name
    spreads = {"basis": 1.0, "project": 128**-0.5, "embedding": 10**-0.5}
    spreads = {G.get_parameter(name): spread for name, spread in spreads.items()}
    spreads |= {D.basis: 0.25, D.head: 1 / 8, D.embedding: 1 / math.sqrt(64 * 10), D.from_image.weight: 3**-0.5}
    for weight, spread in spreads.items():
        assert weight.square().mean().sqrt().item() == pytest.approx(spread, rel=0.15)


def test_no_block_changes_the_signal_at_first() -> None:
    G = Generator((1, 16, 16), 4, embed_dim=4, **SMALL)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(G.stages[0](x), x)
    G.stages[0][1].branch[4].weight.data.fill_(0.1)
    assert not torch.equal(G.stages[0](x), x)


@pytest.mark.parametrize(("side", "last", "stages"), [(8, 16, 2), (28, 8, 3), (64, 4, 5)])
def test_longer_lists_serve_all_smaller_sides(side: int, last: int, stages: int) -> None:
    lists = {"widths": [32, 16, 8, 8, 4], "blocks": [2, 2, 1, 1, 1], "group_size": 8}
    G, D = Generator((1, side, side), 4, embed_dim=4, **lists), Discriminator((1, side, side), **lists)
    assert G.to_image.in_channels == D.from_image.out_channels == last
    assert [len(stage) for stage in G.stages] == [len(stage) for stage in D.stages][::-1] == [2, 2, 1, 1, 1][:stages]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"widths": [16, 16]},
            r"model\.{}\.widths must have at least 4 numbers for the sides 4x4, \.\.\., 32x32, got \[16, 16\]",
        ),
        (
            {"blocks": [1, 1, 1]},
            r"model\.{}\.blocks must have at least 4 numbers for the sides 4x4, \.\.\., 32x32, got",
        ),
        ({"widths": [16, 16, 16, 4]}, r"model\.{}\.widths must be multiples of 8, for groups of 16, got"),
    ],
)
def test_lists_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    lists = {"widths": [16] * 4, "blocks": [1] * 4, "group_size": 16} | changes
    with pytest.raises(ValueError, match=message.format("G")):
        Generator((3, 32, 32), 4, embed_dim=4, **lists)
    with pytest.raises(ValueError, match=message.format("D")):
        Discriminator((3, 32, 32), **lists)
