"""Self-attention against the softmax written out, and where the nets have it."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.nets import resnet
from gantry.nets.attention import SelfAttention, find_attended_block


def attend(layer: SelfAttention, x: Tensor) -> Tensor:
    """Return what the layer adds to one image x [F, H, W], pixel by pixel (Zhang et al. 2019, eq. 1 and 2)."""
    f, g, h, v = (conv.weight[:, :, 0, 0] for conv in (layer.query, layer.key, layer.value, layer.output))
    _, height, width = x.shape

    def pool(w: Tensor) -> list[Tensor]:
        blocks = [(i, j) for i in range(0, height - 1, 2) for j in range(0, width - 1, 2)]
        return [torch.stack([w @ x[:, i + a, j + b] for a in (0, 1) for b in (0, 1)]).amax(0) for i, j in blocks]

    keys, values = pool(g), pool(h)
    output = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            scores = [torch.exp((f @ x[:, i, j]) @ key) for key in keys]
            output[:, i, j] = v @ sum(s / sum(scores) * value for s, value in zip(scores, values))
    return output


@pytest.mark.parametrize("sides", [(4, 4), (6, 4), (5, 7)])
def test_attention_is_the_softmax_written_out(sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SelfAttention(16).double()
    nn.init.constant_(layer.sigma, 0.7)
    x = torch.randn(2, 16, *sides, dtype=torch.float64)
    expected = torch.stack([image + 0.7 * attend(layer, image) for image in x])
    assert_close(layer(x), expected)


def test_attention_equals_the_fused_kernel() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16).double(), torch.randn(2, 16, 8, 8, dtype=torch.float64)
    nn.init.ones_(layer.sigma)
    pool = nn.functional.max_pool2d
    query, key, value = layer.query(x), pool(layer.key(x), 2), pool(layer.value(x), 2)
    fused = nn.functional.scaled_dot_product_attention(*(t.flatten(2).mT for t in (query, key, value)), scale=1.0)
    assert_close(layer(x), x + layer.output(fused.mT.unflatten(2, (8, 8))))


def test_attention_begins_as_the_identity_and_learns_to_leave_it() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(8), torch.randn(2, 8, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.sigma.grad.abs() > 0


def test_sizes_of_the_paper() -> None:
    layer = SelfAttention(256)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "sigma": (),
        "query.weight": (32, 256, 1, 1),
        "key.weight": (32, 256, 1, 1),
        "value.weight": (128, 256, 1, 1),
        "output.weight": (256, 128, 1, 1),
    }


def test_the_first_block_of_the_side_is_attended() -> None:
    assert find_attended_block("k", 8, [16, 8, 8, 8]) == 1
    assert find_attended_block("k", None, [16, 8]) is None
    with pytest.raises(ValueError, match=r"^model\.G\.attention must be null or a side .* 7, 14, got 16$"):
        find_attended_block("model.G.attention", 16, [7, 14])


@pytest.mark.parametrize("side", [16, 8])
def test_the_nets_attend_at_the_side(side: int) -> None:
    seen: list[tuple[int, ...]] = []
    G = resnet.Generator((3, 32, 32), 4, width=8, attention=side, spectral=True)
    D = resnet.Discriminator((3, 32, 32), width=8, norm="spectral", pool="sum", attention=side)
    for net in (G, D):
        layers = [m for m in net.modules() if isinstance(m, SelfAttention)]
        assert len(layers) == 1
        layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    D(G(torch.randn(2, 4)))
    assert seen == [(2, 8, side, side)] * 2


def test_a_side_between_no_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^model\.G\.attention must be null or a side .* 8, 16, 32, got 12$"):
        resnet.Generator((3, 32, 32), 4, width=8, attention=12)
    with pytest.raises(ValueError, match=r"^model\.D\.attention must be null or a side .* 8, 16, got 12$"):
        resnet.Discriminator((3, 32, 32), width=8, norm="none", pool="sum", attention=12)


def test_spectral_normalisation_of_g_reaches_every_weight() -> None:
    """Of each convolution and linear layer the largest singular value is 1; gains and biases of classes are free."""
    torch.manual_seed(0)
    G = resnet.Generator((3, 16, 16), 4, 10, width=8, attention=16, spectral=True)
    for _ in range(200):
        G(torch.randn(2, 4), torch.tensor([0, 1]))
    layers = [m for m in G.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 1 + 2 * 3 + 4 + 1
    for layer in layers:
        assert math.isclose(float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)), 1, rel_tol=1e-3)
    assert "norm.gain" in dict(G.named_parameters())
