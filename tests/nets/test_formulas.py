"""Each net against its formula, written out on a small one in float64; the spread of its first weights."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.nets import dcgan, mlp, resnet

N, K, Z = 6, 2, 5
Weights = dict[str, Tensor]


def randomise(net: nn.Module) -> tuple[nn.Module, Weights]:
    """Return a net of random weights in float64, biases included, and the weights by name."""
    torch.manual_seed(0)
    net = net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net, dict(net.named_parameters())


def inputs(*shape: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(N, *shape, dtype=torch.float64), torch.arange(N) % K


def normalise(x: Tensor) -> Tensor:
    """Normalise each feature over the batch and, in images, over the pixels."""
    dims = [0, *range(2, x.dim())]
    mean = x.mean(dims, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(dims, keepdim=True) + 1e-5).sqrt()


def per_feature(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.dim() - 2))


def batch_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    return per_feature(w[f"{name}.weight"], x) * normalise(x) + per_feature(w[f"{name}.bias"], x)


def class_batch_norm(x: Tensor, c: Tensor, w: Weights, name: str) -> Tensor:
    """One gain and bias for each class (Dumoulin et al. 2017, eq. 5)."""
    return w[f"{name}.gain"][c][:, :, None, None] * normalise(x) + w[f"{name}.bias"][c][:, :, None, None]


def conv(x: Tensor, w: Weights, name: str, stride: int = 1, padding: int = 1) -> Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def leaky(x: Tensor) -> Tensor:
    return x.clamp(min=0) + 0.2 * x.clamp(max=0)


def double_side(x: Tensor) -> Tensor:
    """Repeat every pixel four times."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def halve_side(x: Tensor) -> Tensor:
    """Average every four pixels."""
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def projection(h: Tensor, c: Tensor, w: Weights) -> Tensor:
    """The logit of Miyato & Koyama 2018, eq. 3."""
    return linear(h, w, "head.linear")[:, 0] + (w["head.embedding.weight"][c] * h).sum(1)


def one_hot(z: Tensor, c: Tensor) -> Tensor:
    return torch.cat([z, torch.eye(K, dtype=z.dtype)[c]], 1)


def test_dense_generator() -> None:
    G, w = randomise(mlp.Generator((3, 2, 2), Z, K, hidden=[7, 4], norm="batch", activation="leaky"))
    z, c = inputs(Z)
    h = leaky(batch_norm(linear(one_hot(z, c), w, "body.0"), w, "body.1"))
    h = leaky(batch_norm(linear(h, w, "body.3"), w, "body.4"))
    assert_close(G(z, c), linear(h, w, "head.0").tanh().view(N, 3, 2, 2))


def test_dense_critic() -> None:
    D, w = randomise(mlp.Discriminator((1, 2, 3), K, hidden=[7, 4], norm="none"))
    x, c = inputs(1, 2, 3)
    h = leaky(linear(leaky(linear(x.view(N, 6), w, "body.0")), w, "body.3"))
    assert_close(D(x, c).logits, projection(h, c, w))


def test_dcgan_generator() -> None:
    """Radford et al. 2016: the side doubles in 4x4 transposed convolutions of stride 2."""
    G, w = randomise(dcgan.Generator((3, 16, 16), Z, K, width=2, max_width=8))
    z, c = inputs(Z)
    h = linear(one_hot(z, c), w, "project.0").view(N, 8, 4, 4)
    h = batch_norm(h, w, "project.2").relu()
    for block, (i, o) in enumerate([(8, 4), (4, 2)]):
        kernel, bias = w[f"body.{block}.0.weight"], w[f"body.{block}.0.bias"]
        assert kernel.shape == (i, o, 4, 4)
        dilated = torch.zeros(N, i, 2 * h.shape[2] + 1, 2 * h.shape[3] + 1, dtype=h.dtype)
        dilated[:, :, 1::2, 1::2] = h  # zeros between the pixels, then a plain convolution
        h = F.conv2d(F.pad(dilated, (1, 1, 1, 1)), kernel.flip(2, 3).transpose(0, 1), bias)
        h = batch_norm(h, w, f"body.{block}.1").relu()
    assert_close(G(z, c), conv(h, w, "head.0").tanh())


def test_dcgan_critic() -> None:
    """The standard CNN of Miyato et al. 2018, Table 3; features are summed over the pixels."""
    D, w = randomise(dcgan.Discriminator((3, 16, 16), K, width=2, max_width=8, norm="none"))
    x, c = inputs(3, 16, 16)
    h = x
    for block in range(2):
        h = leaky(conv(h, w, f"body.{block}.0.0"))
        h = leaky(conv(h, w, f"body.{block}.1.0", stride=2))
    h = leaky(conv(h, w, "body.2.0"))
    assert h.shape == (N, 8, 4, 4)
    assert_close(D(x, c).logits, projection(h.sum((2, 3)), c, w))


def test_residual_generator() -> None:
    """Miyato et al. 2018, Table 4a: the shortcut sees the input of the block, not its activation."""
    G, w = randomise(resnet.Generator((3, 16, 16), Z, K, width=4))
    z, c = inputs(Z)
    x = linear(z, w, "project.0").view(N, 4, 4, 4)
    for block in range(2):
        name = f"blocks.{block}"
        h = double_side(class_batch_norm(x, c, w, f"{name}.norm1").relu())
        h = class_batch_norm(conv(h, w, f"{name}.conv1"), c, w, f"{name}.norm2").relu()
        x = conv(h, w, f"{name}.conv2") + conv(double_side(x), w, f"{name}.shortcut", padding=0)
    assert_close(G(z, c), conv(class_batch_norm(x, c, w, "norm").relu(), w, "to_image").tanh())


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_residual_critic(pool: str) -> None:
    """Gulrajani et al. 2017 and Miyato et al. 2018, Table 4b: two blocks that halve, and two that do not."""
    D, w = randomise(resnet.Discriminator((3, 32, 32), K, width=4, norm="none", pool=pool))
    image, c = inputs(3, 32, 32)
    x = image
    for block, halve in enumerate([True, True, False, False]):
        name = f"body.{block}"
        h = conv(x if block == 0 else x.relu(), w, f"{name}.branch.1")
        h = conv(h.relu(), w, f"{name}.branch.3")
        x = halve_side(h) + conv(halve_side(x), w, f"{name}.shortcut.1", padding=0) if halve else h + x
    assert f"body.{block + 1}.branch.1.weight" not in w
    h = x.relu().sum((2, 3)) / (1 if pool == "sum" else 64)
    assert_close(D(image, c).logits, projection(h, c, w))


GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: mlp.Generator((1, 8, 8), Z, hidden=[16], norm="batch", activation="relu"),
    "dcgan": lambda: dcgan.Generator((1, 8, 8), Z, width=4, max_width=8),
    "resnet": lambda: resnet.Generator((1, 8, 8), Z, width=4),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_running_statistics_move_by_a_tenth(name: str) -> None:
    G = GENERATORS[name]()
    inputs_of_norms = {}
    for norm in (m for m in G.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        norm.register_forward_pre_hook(lambda module, args: inputs_of_norms.update({module: args[0]}))
    G(torch.randn(N, Z))
    assert inputs_of_norms
    for norm, x in inputs_of_norms.items():
        features = x.transpose(0, 1).flatten(1)
        assert_close(norm.running_mean, 0.1 * features.mean(1))
        assert_close(norm.running_var, 0.9 + 0.1 * features.var(1))


def root_mean_square(weight: Tensor) -> float:
    return float(weight.detach().square().mean().sqrt())


def test_dcgan_starts_at_a_standard_deviation_of_two_hundredths() -> None:
    torch.manual_seed(0)
    G = dcgan.Generator((3, 32, 32), 64, K, width=16, max_width=64)
    D = dcgan.Discriminator((3, 32, 32), K, width=16, max_width=64, norm="batch")
    for name, weight in [*G.named_parameters(), *D.named_parameters()]:
        if weight.dim() > 1 and weight.numel() > 1000:
            assert root_mean_square(weight) == pytest.approx(0.02, rel=0.1), name


def test_nets_without_norms_start_by_he() -> None:
    """He et al. 2015, eq. 15, with the slope 0.2."""
    torch.manual_seed(0)
    for D in (
        mlp.Discriminator((3, 8, 8), hidden=[64, 64], norm="none"),
        dcgan.Discriminator((3, 32, 32), width=16, max_width=64, norm="none"),
    ):
        for weight in D.body.parameters():
            if weight.dim() > 1:
                fan_in = weight[0].numel()
                assert root_mean_square(weight) == pytest.approx(math.sqrt(2 / (1.04 * fan_in)), rel=0.1)


def xavier(weight: Tensor, gain: float) -> float:
    """The standard deviation of Glorot & Bengio 2010, eq. 16, times a gain."""
    pixels = weight[0, 0].numel()
    return gain * math.sqrt(2 / ((weight.shape[0] + weight.shape[1]) * pixels))


def test_residual_branches_start_with_a_gain_of_root_two() -> None:
    torch.manual_seed(0)
    G = resnet.Generator((3, 16, 16), 32, width=32)
    D = resnet.Discriminator((3, 32, 32), width=32, norm="none", pool="mean")
    gains = {"conv1": 2**0.5, "conv2": 2**0.5, "branch": 2**0.5, "shortcut": 1.0, "to_image": 1.0}
    weights = [(n, w) for net in (G, D) for n, w in net.named_parameters() if w.dim() == 4 and w.numel() > 500]
    assert {part for part in gains if any(part in name for name, _ in weights)} == set(gains)
    for name, weight in weights:
        (gain,) = (gain for part, gain in gains.items() if part in name)
        assert root_mean_square(weight) == pytest.approx(xavier(weight, gain), rel=0.1), name
