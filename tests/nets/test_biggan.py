"""BigGAN: widths at each side, how classes and parts of z reach the norms, its average and its statistics."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from gantry.nets import biggan, resnet
from gantry.sampling.batchnorm import prepare_generator
from gantry.sampling.batchnorm_mode import BatchNormMode
from gantry.training.ema import WeightAverage

Settings = dict[str, Any]
OWN = {"small_factor": 4, "attention": None, "init": "orthogonal"}


def make_generator(shape: tuple[int, ...] = (3, 16, 16), z_dim: int = 6, num_classes: int = 0, **own: Any) -> nn.Module:
    chosen = {"width": 2, "shared_dim": 5, "hierarchical": True, "eps": 1e-4} | OWN | own
    return biggan.Generator(shape, z_dim, num_classes, **chosen)


def make_critic(shape: tuple[int, ...] = (3, 16, 16), num_classes: int = 0, **own: Any) -> nn.Module:
    return biggan.Discriminator(shape, num_classes, **({"width": 2, "norm": "spectral"} | OWN | own))


AUTHORS = {  # channels as multiples of the width: of G's blocks from 4x4 on, of D's blocks
    32: ([4, 4, 4, 4], [4, 4, 4, 4]),
    64: ([16, 16, 8, 4, 2], [1, 2, 4, 8, 16]),
    128: ([16, 16, 8, 4, 2, 1], [1, 2, 4, 8, 16, 16]),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("side", AUTHORS)
def test_sides_of_the_paper(side: int, num_classes: int, channels: int) -> None:
    shape, (g_widths, d_widths) = (channels, side, side), AUTHORS[side]
    torch.manual_seed(0)
    parts = len(g_widths)
    G, D = make_generator(shape, 2 * parts, num_classes), make_critic(shape, num_classes)
    assert [G.blocks[0].conv1.in_channels, *(block.conv1.out_channels for block in G.blocks)] == [
        2 * w for w in g_widths
    ]
    blocks = [block for block in D.body if isinstance(block, resnet.ResidualBlock)]
    assert [block.branch[3].out_channels for block in blocks] == [2 * w for w in d_widths]
    c = torch.arange(2) if num_classes else None
    x = G(torch.randn(2, 2 * parts), c)
    assert (x.shape, D(x, c).logits.shape) == ((2, *shape), (2,))
    assert D.body[:-1](x).shape[2:] == ((8, 8) if side == 32 else (4, 4))


def test_attention_is_as_wide_as_its_block() -> None:
    G, D = make_generator((3, 64, 64), 10, attention=32), make_critic((3, 64, 64), attention=32)
    assert (G.attention.query.in_channels, G.attended) == (2 * 4, 2)
    assert D.body[0][1].query.in_channels == 2


def randomise(net: nn.Module) -> nn.Module:
    """Return a net of random weights in float64, in evaluation mode after its singular vectors have converged."""
    torch.manual_seed(0)
    net = net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    for _ in range(300):
        for layer in net.modules():
            if parametrize.is_parametrized(layer):
                _ = layer.weight
    return net


def read_weights(net: nn.Module) -> dict[str, Tensor]:
    """Return the weights by layer, divided by the largest singular value where that is done; biases by name."""
    layers = dict(net.named_modules())
    normed = {n: m.parametrizations.weight.original for n, m in layers.items() if parametrize.is_parametrized(m)}
    weights = {f"{n}.weight": w / torch.linalg.matrix_norm(w.flatten(1), 2) for n, w in normed.items()}
    return dict(net.named_parameters()) | weights


def conv(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    weight = w[f"{name}.weight"]
    return F.conv2d(x, weight, w.get(f"{name}.bias"), padding=weight.shape[2] // 2)


def normalise(x: Tensor) -> Tensor:
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / ((x - mean).square().mean((0, 2, 3), keepdim=True) + 1e-4).sqrt()


def condition(x: Tensor, v: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    gain, bias = 1 + v @ w[f"{name}.gain.weight"].T, v @ w[f"{name}.bias.weight"].T
    return gain[:, :, None, None] * normalise(x) + bias[:, :, None, None]


def double_side(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize("shared_dim", [5, None])
@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("hierarchical", [True, False])
def test_generator_written_out(hierarchical: bool, num_classes: int, shared_dim: int | None) -> None:
    """Brock et al. 2019, figure 15: every block has its part of z beside the embedding of the class."""
    G = randomise(make_generator(num_classes=num_classes, shared_dim=shared_dim, hierarchical=hierarchical))
    w, z, c = read_weights(G), torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 2, 1, 2])
    y = torch.zeros(4, 0, dtype=z.dtype)
    if num_classes:
        y = w["embedding.weight"][c] if shared_dim else torch.eye(3, dtype=z.dtype)[c]
    parts = [z[:, :2], z[:, 2:4], z[:, 4:]] if hierarchical else [z, z[:, :0], z[:, :0]]
    x = (parts[0] @ w["project.0.weight"].T + w["project.0.bias"]).view(4, 8, 4, 4)
    for k in range(2):
        name, v = f"blocks.{k}", torch.cat([y, parts[k + 1]], 1)

        def norm(h: Tensor, which: str, name: str = name, v: Tensor = v) -> Tensor:
            if hierarchical or (num_classes and shared_dim):
                return condition(h, v, w, f"{name}.{which}")
            gain, bias = ("gain", "bias") if num_classes else ("norm.weight", "norm.bias")
            gain, bias = (w[f"{name}.{which}.{n}"] for n in (gain, bias))
            gain, bias = ((t[c] if num_classes else t.expand(4, -1))[:, :, None, None] for t in (gain, bias))
            return gain * normalise(h) + bias

        h = conv(double_side(norm(x, "norm1").relu()), w, f"{name}.conv1")
        x = conv(norm(h, "norm2").relu(), w, f"{name}.conv2") + double_side(conv(x, w, f"{name}.shortcut"))
    x = w["norm.norm.weight"][:, None, None] * normalise(x) + w["norm.norm.bias"][:, None, None]
    assert_close(G(z, c if num_classes else None), conv(x.relu(), w, "to_image").tanh(), rtol=1e-4, atol=1e-6)


def test_critic_written_out() -> None:
    """The projection is of features that are summed over the pixels."""
    D = randomise(make_critic((3, 64, 64), 3))
    w, x, c = read_weights(D), torch.randn(2, 3, 64, 64, dtype=torch.float64), torch.tensor([2, 0])
    h = x
    for k, halve in enumerate([True] * 4 + [False]):
        b = conv(h if k == 0 else h.relu(), w, f"body.{k}.branch.1")
        b = conv(b.relu(), w, f"body.{k}.branch.3")
        h = F.avg_pool2d(b, 2) + conv(F.avg_pool2d(h, 2), w, f"body.{k}.shortcut.1") if halve else b + wide(h, w, k)
    h = h.relu().sum((2, 3))
    expected = h @ w["head.linear.weight"][0] + w["head.linear.bias"] + (w["head.embedding.weight"][c] * h).sum(1)
    assert_close(D(x, c).logits, expected, rtol=1e-4, atol=1e-6)


def wide(h: Tensor, w: dict[str, Tensor], k: int) -> Tensor:
    """Return the shortcut of a block that keeps the side: a 1x1 convolution if it changes the number of channels."""
    return conv(h, w, f"body.{k}.shortcut.1") if f"body.{k}.shortcut.1.weight" in w else h


def test_a_vector_is_a_mixture_of_classes() -> None:
    for shared_dim in (5, None):
        G = make_generator(num_classes=3, shared_dim=shared_dim).eval()
        z, c = torch.randn(4, 6), torch.tensor([0, 2, 1, 2])
        assert_close(G(z, torch.eye(3)[c]), G(z, c))
        assert (G(z, torch.full((4, 3), 1 / 3)) - G(z, c)).abs().max() > 1e-4


def test_latents_that_do_not_split_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^model\.G\.z_dim must be a multiple of 4, a part for .*, got 81$"):
        make_generator((3, 32, 32), 81)
    assert make_generator((3, 32, 32), 81, hierarchical=False).part_dim == 81


def test_the_embedding_of_classes_is_not_normalised() -> None:
    G = make_generator(num_classes=3, attention=16)
    plain = [name for name, layer in G.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert [n for n in plain if not parametrize.is_parametrized(G.get_submodule(n))] == ["embedding"]
    D = make_critic(num_classes=3, attention=8)
    layers = [layer for layer in D.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert all(parametrize.is_parametrized(layer) for layer in layers)


def test_orthogonal_weights() -> None:
    torch.manual_seed(0)
    G = make_generator(num_classes=3)
    for name, weight in G.named_parameters():
        if name.endswith("original"):
            rows = weight.flatten(1)
            gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
            assert_close(gram, torch.eye(len(gram)), atol=1e-4, rtol=0)


BLOCKS = {
    "up": lambda: resnet.UpBlock(4, 6, lambda f: biggan.LinearBatchNorm(f, 3, 1e-4)),
    "down": lambda: resnet.ResidualBlock(4, 6, halve=True),
    "first": lambda: resnet.ResidualBlock(4, 6, halve=True, first=True),
    "keep": lambda: resnet.ResidualBlock(4, 4, halve=False),
    "widen": lambda: resnet.ResidualBlock(4, 6, halve=False, norm="layer"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_shortcut_sees_the_input_and_not_its_activation(name: str) -> None:
    """An activation in place would change the input of the shortcut."""
    torch.manual_seed(0)
    block, x, seen = BLOCKS[name](), torch.randn(2, 4, 8, 8), list[Tensor]()
    before = x.clone()
    block.shortcut.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    block(x, torch.randn(2, 3)) if name == "up" else block(x)
    assert torch.equal(x, before)
    assert torch.equal(seen[0], before)


def test_the_average_and_standing_statistics_leave_the_net_as_it_is() -> None:
    """An evaluation normalises a copy, whose singular vectors it does not move; the average has a length of its own."""
    torch.manual_seed(0)
    G = make_generator(num_classes=3, attention=8)
    G_ema = copy.deepcopy(G).eval()
    for _ in range(3):
        G(torch.randn(8, 6), torch.arange(8) % 3)
    WeightAverage(G_ema, G).lerp_(0.5)
    before = {net: copy.deepcopy(net.state_dict()) for net in (G, G_ema)}
    ready = prepare_generator(G_ema, BatchNormMode.STANDING, 0)
    for net, state in before.items():
        assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    changed = {n.rpartition(".")[2] for n, t in ready.state_dict().items() if not torch.equal(t, before[G_ema][n])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    x = ready(torch.randn(4, 6), torch.arange(4) % 3)
    assert x.isfinite().all()
