"""The nets of StyleGAN2 against their formula and published sizes; styles, noise, truncation, mixing."""

import copy
import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import gantry
from gantry.distributed import collectives
from gantry.losses import adversarial
from gantry.losses.objective import Objective, Term
from gantry.losses.regularisers import PathLength
from gantry.nets.equalised import append_deviation
from gantry.nets.resample import make_downsample, make_upsample
from gantry.nets.stylegan2 import Discriminator, Generator
from gantry.sampling.generate import generate
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim
from spawn_ranks import run_on_ranks

KINDS = ["skip", "resnet", "orig"]
N, K, Z = 4, 3, 6
WIDTHS = [8, 6, 4]


def make_generator(kind: str = "skip", shape: tuple[int, ...] = (2, 16, 24), k: int = K, **changes: Any) -> Generator:
    """A small G in float64 with noise and biases."""
    torch.manual_seed(0)
    G = Generator(shape, Z, k, **{"w_dim": 5, "mapping_layers": 2, "widths": WIDTHS, "kind": kind} | changes).double()
    for name, parameter in G.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.data.normal_(std=0.5)
    return G


def make_critic(kind: str = "orig", k: int = K, group: int = 2) -> Discriminator:
    torch.manual_seed(0)
    D = Discriminator((2, 16, 24), k, widths=WIDTHS, kind=kind, group=group).double()
    for name, parameter in D.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(std=0.5)
    return D


def make_inputs(G: Generator, n: int = N) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, G.z_dim + G.noise_dim).double(), torch.arange(n) % K


def leaky(x: Tensor) -> Tensor:
    return (x.clamp(min=0) + 0.2 * x.clamp(max=0)) * math.sqrt(2)


def normalise(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def test_mapping() -> None:
    """Dense layers of the normalised z and class, at a hundredth of the learning rate."""
    G = make_generator()
    z, c = make_inputs(G)
    embedding = G.mapping.embedding
    assert embedding is not None
    e = embedding.weight[c] / math.sqrt(K) + embedding.bias
    x = torch.cat([normalise(z[:, :Z]), normalise(e)], 1)
    for layer in G.mapping.layers:
        x = leaky(x @ layer.weight.T * 0.01 / math.sqrt(x.shape[1]) + 0.01 * layer.bias)
    w = G.eval().map(z, c)
    assert w.shape == (N, G.num_ws, 5) == (N, 6, 5)
    assert_close(w, x[:, None].expand_as(w))
    assert torch.equal(G.map(z[:, :Z], c), w)
    assert_close(G.map(z, torch.eye(K).double()[c]), w)


def styled(layer: Any, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    """Convolution, noise and activation of a layer; test_equalised.py tests the convolution."""
    x = layer.conv(x, w)
    return leaky(x + layer.noise_strength * noise.view(N, 1, *x.shape[2:]) + layer.bias[:, None, None])


def to_image(layer: Any, x: Tensor, w: Tensor) -> Tensor:
    s = w @ layer.conv.affine.weight.T / math.sqrt(5) + layer.conv.affine.bias
    weight = layer.conv.weight[:, :, 0, 0] / math.sqrt(x.shape[1])
    return torch.einsum("oi,ni,nihw->nohw", weight, s, x) + layer.bias[:, None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_synthesis(kind: str) -> None:
    """Karras et al. 2020, Figure 7, with a style of its own for each layer."""
    G = make_generator(kind)
    w = torch.randn(N, 6, 5).double()
    noise = [torch.randn(N, side).double() for side in (24, 96, 96, 384, 384)]
    up, (one, two, three) = make_upsample().double(), G.blocks

    def residual(block: Any, x: Tensor, y: Tensor) -> Tensor:
        if kind != "resnet":
            return y
        weight = block.shortcut.weight[:, :, 0, 0] / math.sqrt(x.shape[1])
        return (up(torch.einsum("oi,nihw->nohw", weight, x)) + y) / math.sqrt(2)

    x1 = styled(one.layers[0], G.constant.expand(N, -1, -1, -1), w[:, 0], noise[0])
    x2 = styled(two.layers[1], styled(two.layers[0], x1, w[:, 1], noise[1]), w[:, 2], noise[2])
    x2 = residual(two, x1, x2)
    x3 = styled(three.layers[1], styled(three.layers[0], x2, w[:, 3], noise[3]), w[:, 4], noise[4])
    x3 = residual(three, x2, x3)
    image = to_image(three.to_image, x3, w[:, 5])
    if kind == "skip":
        image = up(up(to_image(one.to_image, x1, w[:, 1])) + to_image(two.to_image, x2, w[:, 3])) + image
    assert_close(G.synthesize(w, torch.cat(noise, 1)), image)
    assert image.shape == (N, 2, 16, 24)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, K])
def test_critic(kind: str, k: int) -> None:
    D, x, c = make_critic(kind, k), torch.randn(N, 2, 16, 24).double(), torch.arange(N) % K
    h: Any = None
    image = x
    for block in D.blocks:
        if h is None or kind == "skip":
            seen = leaky(block.from_image(image))
            h = seen if h is None else h + seen
        y = leaky(block.conv2(leaky(block.conv1(h))))
        h = (y + block.shortcut(h)) / math.sqrt(2) if kind == "resnet" else y
        image = make_downsample().double()(image)
    h = h + leaky(D.from_image(image)) if kind == "skip" else h
    assert h.shape == (N, 8, 4, 6)
    h = D.head(leaky(D.linear(leaky(D.conv(append_deviation(h, 2))).flatten(1))))
    if k:
        w = normalise(D.mapping.embedding.weight[c] / math.sqrt(K) + D.mapping.embedding.bias)
        assert len(D.mapping.layers) == 8
        for layer in D.mapping.layers:
            w = leaky(w @ layer.weight.T * 0.01 / math.sqrt(8) + 0.01 * layer.bias)
        h = (h * w).sum(1, keepdim=True) / math.sqrt(8)
    assert_close(D(x, c).logits, h[:, 0])


def test_critic_of_a_vector_equals_that_of_its_class() -> None:
    D, x, c = make_critic(), torch.randn(N, 2, 16, 24).double(), torch.arange(N) % K
    assert_close(D(x, torch.eye(K).double()[c]).logits, D(x, c).logits)


def test_critic_of_parts_equals_that_of_the_batch() -> None:
    D, x, c = make_critic(group=2), torch.randn(6, 2, 16, 24).double(), torch.arange(6) % K
    assert_close(torch.cat([D(x[:2], c[:2]).logits, D(x[2:], c[2:]).logits]), D(x, c).logits)
    other = x.clone()
    other[5] = 0
    assert torch.equal(D(other, c).logits[:4], D(x, c).logits[:4])
    assert not torch.equal(D(other, c).logits[4], D(x, c).logits[4])


def test_noise_is_read_behind_z_and_starts_without_effect() -> None:
    G = Generator((1, 16, 16), Z, w_dim=5, mapping_layers=2, widths=WIDTHS, kind="skip").double()
    assert G.noise_dim == 16 + 2 * 64 + 2 * 256
    z, other = (torch.randn(N, Z + G.noise_dim).double() for _ in range(2))
    other[:, :Z] = z[:, :Z]
    assert torch.equal(G(z), G(other))
    for block in G.blocks:
        for layer in block.layers:
            layer.noise_strength.data.fill_(0.1)
    other[1:] = z[1:]
    x, y = G(z), G(other)
    assert (x[0] != y[0]).float().mean() > 0.9  # noise of its own changes a sample, and that of others does not
    assert_close(x[1:], y[1:])
    assert_close(G.synthesize(G.map(z)), G.synthesize(G.map(z), torch.zeros_like(z[:, Z:])))
    with pytest.raises(AssertionError, match="z must have z_dim \\+ noise_dim numbers"):
        G(z[:, :Z])


def test_every_number_of_the_noise_counts() -> None:
    G = make_generator()
    z, c = make_inputs(G, 1)
    z.requires_grad_()
    (slope,) = torch.autograd.grad(G(z, c).square().sum(), z)
    assert slope[0, Z:].count_nonzero() == G.noise_dim


def test_average_of_w_moves_in_training_alone() -> None:
    G = make_generator()
    z, c = make_inputs(G, 8)
    G.eval()(z, c)
    assert G.w_avg.count_nonzero() == 0
    w = G.map(z, c)[:, 0].detach()
    parts = [copy.deepcopy(G).train() for _ in range(2)]
    G.train()(z, c)
    assert_close(G.w_avg, 0.005 * w.mean(0))
    G(z, c)
    assert_close(G.w_avg, (0.005 + 0.995 * 0.005) * w.mean(0))
    for part, rows in zip(parts, (slice(0, 4), slice(4, 8))):  # two processes
        part(z[rows], c[rows])
        part(z[rows], c[rows])
    assert_close((parts[0].w_avg + parts[1].w_avg) / 2, G.w_avg)


def test_truncation_by_w() -> None:
    G = make_generator()
    G.w_avg.normal_()
    z, c = make_inputs(G)
    w = G.eval().map(z, c)
    assert_close(G.truncate(0.3).map(z, c), G.w_avg + 0.3 * (w - G.w_avg))
    assert torch.equal(G.map(z, c), w)
    assert_close(G.truncate(0.3)(z, c), G.synthesize(G.w_avg + 0.3 * (w - G.w_avg), G.select_noise(z)))
    other = G.truncate(0.3)
    assert all(a is b for a, b in zip(G.parameters(), other.parameters(), strict=True))
    assert other.truncate(1.0).map(z, c).equal(w)


def test_samples_with_truncation() -> None:
    """psi near 0: all samples are one image, but for the noise."""
    G = make_generator(k=0).float()
    for block in G.blocks:
        for layer in block.layers:
            layer.noise_strength.data.zero_()
    x, same = gantry.sample(G, 8).float(), gantry.sample(G, 8, truncation=1e-6).float()
    assert same.std(0).max() <= 1
    assert x.std(0).max() > 1
    assert_close(gantry.sample(G, 8).float(), x)
    assert generate(G, torch.randn(2, Z + G.noise_dim), None).shape == (2, 2, 16, 24)


def test_mixing_in_training() -> None:
    G = make_generator(mixing=0.75)
    assert G.noise_dim == make_generator().noise_dim + Z + 1
    z, c = make_inputs(G, 4000)
    first, second = (G.eval().map(z[:, a : a + Z], c)[:, 0] for a in (0, Z))
    assert_close(G.map(z, c), first[:, None].expand(-1, 6, -1))
    w = G.train().map(z, c)
    from_first = (w - first[:, None]).abs().amax(2) < 1e-12
    assert_close(w, torch.where(from_first[:, :, None], first[:, None], second[:, None]))
    kept = from_first.sum(1)  # layers with their own style, which are the first ones
    assert torch.equal(from_first, torch.arange(6) < kept[:, None])
    counts = kept.bincount(minlength=7)
    assert counts[0] == 0
    assert counts[6].item() / 4000 == pytest.approx(0.25, abs=0.03)
    for layers in range(1, 6):
        assert counts[layers].item() / 4000 == pytest.approx(0.15, abs=0.03)


def test_mixing_leaves_the_noise_in_its_place() -> None:
    G, plain = make_generator(mixing=0.9), make_generator()
    z, c = make_inputs(G)
    assert_close(G.eval()(z, c), plain.eval()(torch.cat([z[:, :Z], z[:, 2 * Z + 1 :]], 1), c))
    assert torch.equal(G.map(z[:, :Z], c), G.map(z, c))


def test_clamp() -> None:
    G = make_generator(clamp=0.25)
    z, c = make_inputs(G)
    assert make_generator()(z, c).abs().max() > 1
    parts = [x.abs().max() for x in (G.blocks[0].layers[0](G.constant.expand(N, -1, -1, -1), G.map(z, c)[:, 0], None),)]
    assert parts[0] == 0.25
    assert G(z, c).abs().max() <= 0.75


def test_lengths_of_paths_differentiate_twice() -> None:
    """The gradient of the image by the styles of all layers (Karras et al. 2020, eq. 4)."""
    G = make_generator("resnet")
    z, c = make_inputs(G)
    w = G.map(z, c)
    x = G.synthesize(w, G.select_noise(z))
    (slope,) = torch.autograd.grad((x * torch.randn_like(x)).sum(), w, create_graph=True)
    slope.square().sum(2).mean(1).sqrt().sum().backward()
    weights = dict(G.named_parameters())
    assert all(weights[f"blocks.{k}.layers.0.conv.weight"].grad.count_nonzero() for k in range(3))  # type: ignore[union-attr]


@pytest.mark.parametrize(("net", "make"), [("G", make_generator), ("D", make_critic)])
def test_too_few_widths(net: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.WIDTHS", [8, 6])
    message = rf"model\.{net}\.widths must have at least 3 numbers for the sides 4x6, \.\.\., 16x24, got \[8, 6\]"
    with pytest.raises(ValueError, match=message):
        make()


def train_on_ranks(turns: int) -> dict[str, Tensor]:
    """Train on the part of this rank of batches of 8: -> the state, with which all ranks end."""
    sgd, path = partial(torch.optim.SGD, lr=0.05), Term(PathLength(), weight=0.1, every=2)
    loss = Objective(adversarial.hinge_d, adversarial.hinge_g, g_terms={"path": path})
    torch.manual_seed(0)
    G = Generator((1, 8, 8), Z, w_dim=5, mapping_layers=2, widths=[8, 6], kind="skip", mixing=0.9)
    D = Discriminator((1, 8, 8), widths=[8, 6], kind="orig", group=4)
    gan = GAN(G, D, loss, Optim(sgd, sgd), Ema(0.05), turns, 8, seed=3)  # type: ignore[arg-type]
    gan.trainer = SimpleNamespace(optimizers=gan.configure_optimizers())  # type: ignore[assignment]
    gan.advance_global_step = lambda: None  # type: ignore[method-assign]
    for turn in range(turns):
        x = torch.rand(1, 8, 1, 8, 8, generator=torch.Generator().manual_seed(turn))
        c = torch.zeros(1, 8, dtype=torch.int64)
        gan.training_step(tuple(t.chunk(collectives.world_size(), 1)[collectives.rank()] for t in (x, c)), turn)
    return dict(gan.state_dict())


def test_two_ranks_equal_one_process() -> None:
    """Noise, mixed styles, the average of w, groups of the deviation and lengths of paths are of the global batch."""
    expected = train_on_ranks(3)
    assert expected["G.w_avg"].count_nonzero() == 5
    assert expected["loss_modules.g_path.mean"] > 0
    for state in run_on_ranks(2, train_on_ranks, 3):
        assert_close(state, expected, rtol=1e-4, atol=1e-5)
