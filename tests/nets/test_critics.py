"""What every critic must keep to, whatever its norm, at every size that it can build."""

import copy
import math

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.losses.penalties import gradient_penalty, r1
from gantry.nets import dcgan, mlp, resnet

Shape = tuple[int, ...]
SIDES = [8, 14, 28, 32, 48, 64]
NAMES = [
    *(f"mlp-{norm}" for norm in ("none", "batch", "layer", "spectral")),
    *(f"dcgan-{norm}" for norm in ("none", "batch", "layer", "instance", "spectral")),
    *(f"resnet-{norm}" for norm in ("none", "spectral")),
]
FREE = [name for name in NAMES if not name.endswith("batch")]  # may meet a penalty per sample


def critic(name: str, shape: Shape, num_classes: int = 0, width: int = 4) -> nn.Module:
    family, norm = name.split("-")
    if family == "mlp":
        return mlp.Discriminator(shape, num_classes, hidden=[4 * width, 2 * width], norm=norm)
    if family == "dcgan":
        return dcgan.Discriminator(shape, num_classes, width=width, max_width=4 * width, norm=norm)
    pool = "sum" if norm == "spectral" else "mean"
    return resnet.Discriminator(shape, num_classes, width=width, norm=norm, pool=pool)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", SIDES)
def test_gives_one_logit_for_an_image_of_every_side(name: str, side: int) -> None:
    torch.manual_seed(0)
    D = critic(name, (3, side, side))
    assert D(torch.rand(2, 3, side, side), None).shape == (2,)
    assert (D.shape, D.num_classes) == ((3, side, side), 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 4])
def test_sees_any_number_of_channels(name: str, channels: int) -> None:
    assert critic(name, [channels, 8, 8])(torch.rand(2, channels, 8, 8), None).shape == (2,)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "spectral"])
def test_the_dense_one_sees_points_of_the_plane(norm: str) -> None:
    assert critic(f"mlp-{norm}", (2,))(torch.rand(5, 2), None).shape == (5,)


@pytest.mark.parametrize("name", ["dcgan-none", "resnet-none"])
def test_the_others_refuse_what_they_cannot_build(name: str) -> None:
    for shape in [(1, 27, 27), (1, 28, 32), (2,)]:
        with pytest.raises(ValueError, match=r"^data.shape must have a side of 8, 10, 12, "):
            critic(name, shape)


def influence(D: nn.Module) -> Tensor:
    """Largest |dD(x)[0] / dx[j]| for each of the images j: [3]."""
    x = torch.rand(3, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(D(x, None)[0], x)
    return gradient.abs().amax((1, 2, 3))


@pytest.mark.parametrize("name", FREE)
def test_a_logit_depends_on_its_own_image_alone(name: str) -> None:
    torch.manual_seed(0)
    own, *others = influence(critic(name, (1, 8, 8)))
    assert own > 0
    assert others == [0, 0]


@pytest.mark.parametrize("name", ["mlp-batch", "dcgan-batch"])
def test_batch_norm_makes_it_depend_on_the_others(name: str) -> None:
    torch.manual_seed(0)
    assert influence(critic(name, (1, 8, 8))).min() > 0


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("penalty", [r1, gradient_penalty])
def test_a_penalty_can_be_descended(name: str, penalty: object) -> None:
    """Backward through the backward, along a random direction of the weights, against a finite difference."""
    torch.manual_seed(0)
    D = critic(name, (1, 8, 8), num_classes=2).double()
    x, c = torch.rand(4, 1, 8, 8, dtype=torch.float64), torch.arange(4) % 2
    for _ in range(100 if name.endswith("spectral") else 0):
        D(x, c)  # lets the singular vectors converge
    D.eval()
    parameters = list(D.parameters())
    directions = [torch.randn_like(parameter) for parameter in parameters]

    def value() -> Tensor:
        return penalty(lambda images: D(images, c), x, x).sum()

    value().backward()
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, directions) if p.grad is not None)
    assert_close(slope, finite_difference(value, parameters, directions), rtol=1e-4, atol=1e-8)
    assert slope.abs() > 1e-6


def finite_difference(value: object, parameters: list[Tensor], directions: list[Tensor]) -> Tensor:
    step, ends = 1e-9, []  # small enough to cross no kink of a ReLU
    for sign in (1, -2):
        for parameter, direction in zip(parameters, directions):
            parameter.data.add_(direction, alpha=sign * step)
        ends.append(value().detach())
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("name", NAMES)
def test_a_class_changes_the_logit(name: str) -> None:
    torch.manual_seed(0)
    D = critic(name, (1, 8, 8), num_classes=3).eval()
    logits = D(torch.rand(1, 1, 8, 8).expand(3, 1, 8, 8), torch.arange(3))
    assert logits.unique().numel() == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_class_means_nothing_without_classes(name: str) -> None:
    torch.manual_seed(0)
    D, x = critic(name, (1, 8, 8)).eval(), torch.rand(2, 1, 8, 8)
    assert torch.equal(D(x, None), D(x, torch.tensor([7, 99])))


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_saved_states_are_the_same_net(name: str) -> None:
    torch.manual_seed(0)
    D, other = (critic(name, (1, 8, 8), num_classes=2) for _ in range(2))
    x, c = torch.rand(4, 1, 8, 8), torch.arange(4) % 2
    D(x, c)  # moves the running statistics and the singular vectors
    other.load_state_dict(load(save(D.state_dict())), strict=True)
    twin = copy.deepcopy(D)
    expected = D.eval()(x, c)
    assert torch.equal(other.eval()(x, c), expected)
    assert torch.equal(twin.eval()(x, c), expected)


def blobs(n: int, side: int) -> Tensor:
    """Images of random colours and large shapes, as real ones have them: [n, 3, side, side] in [-1, 1]."""
    return nn.functional.interpolate(torch.rand(n, 3, 3, 3) * 2 - 1, side, mode="bilinear")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("spectral")])
@pytest.mark.parametrize("side", [8, 28, 64])
def test_first_logits_neither_vanish_nor_explode(name: str, side: int) -> None:
    torch.manual_seed(0)
    D = critic(name, (3, side, side), width=32)
    with torch.no_grad():
        assert 0.03 < D(blobs(32, side)).std() < 30


def test_spectral_norm_bounds_the_slope_by_one() -> None:
    """A composition of maps with norm 1 (Miyato et al. 2018, eq. 7); the dense critic has no others."""
    torch.manual_seed(0)
    D = critic("mlp-spectral", (3, 8, 8))
    for _ in range(200):
        D(torch.rand(2, 3, 8, 8))
    steep = r1(D, torch.rand(64, 3, 8, 8), torch.empty(0)).sqrt()
    assert steep.max() <= 1 + 1e-5
    assert steep.max() > 0.01


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_of_the_published_critics() -> None:
    """DCGAN 2.93 M and SNGAN 1.05 M for CIFAR-10, in closed form; a mean pool has none."""
    pairs = [(3, 64), (64, 128), (128, 256)]
    downs = sum(i * o * 9 + o * o * 16 + 2 * o + 4 * o for i, o in pairs)
    expected = downs + 256 * 512 * 9 + 512 + 2 * 512 + 513
    assert count(dcgan.Discriminator((3, 32, 32), width=64, max_width=512, norm="batch")) == expected == 2_931_009
    conv = 128 * 128 * 9 + 128
    expected = (3 * 128 * 9 + 128 + conv + 3 * 128 + 128) + (2 * conv + 128 * 128 + 128) + 4 * conv + 129
    for norm, pool in (("spectral", "sum"), ("none", "mean")):
        D = resnet.Discriminator((3, 32, 32), width=128, norm=norm, pool=pool)
        assert count(D) == expected == 1_053_825


def test_parameters_of_the_dense_critics() -> None:
    assert count(mlp.Discriminator((1, 28, 28), hidden=[128], norm="none")) == 785 * 128 + 129
    large = mlp.Discriminator((1, 28, 28), hidden=[512, 256, 128], norm="none")
    assert count(large) == 785 * 512 + 513 * 256 + 257 * 128 + 129


@pytest.mark.parametrize(("side", "kept"), [(8, 4), (14, 7), (20, 5), (28, 7), (32, 8), (48, 6), (64, 8)])
def test_the_residual_critic_halves_to_eight_or_less(side: int, kept: int) -> None:
    D = critic("resnet-none", (1, side, side))
    blocks = [block for block in D.body if isinstance(block, resnet.ResidualBlock)]
    sides = [side]
    x = torch.rand(1, 1, side, side)
    for block in blocks:
        x = block(x)
        sides.append(x.shape[-1])
    assert sides[-3:] == [kept] * 3
    assert len(blocks) == math.log2(side / kept) + 2
    assert sides[-4] == 2 * kept


def test_the_convolutional_critic_sums_its_features_over_places() -> None:
    torch.manual_seed(0)
    D = critic("dcgan-none", (1, 8, 8))
    features, D.body = D.head.linear.in_features, nn.Identity()
    once = torch.rand(2, features, 1, 1)
    assert_close(D(once.expand(2, features, 4, 4)), D(16 * once))


def test_sum_pool_is_the_mean_times_the_number_of_places() -> None:
    torch.manual_seed(0)
    D = critic("resnet-none", (1, 32, 32))
    x = torch.rand(2, 1, 32, 32)
    by_mean = D(x) - D.head.linear.bias
    D.pool = Tensor.sum
    assert_close(D(x) - D.head.linear.bias, 64 * by_mean)
