"""The contract of every critic, with every norm and at every size that it can build."""

import copy
import math

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.losses.penalties import gradient_penalty, r1
from gantry.nets import biggan, dcgan, mlp, r3gan, resnet, stylegan2
from updates import penalise

Shape = tuple[int, ...]
SIDES = [8, 14, 28, 32, 48, 64]
NAMES = [
    *(f"mlp-{norm}" for norm in ("none", "batch", "layer", "spectral")),
    *(f"dcgan-{norm}" for norm in ("none", "batch", "layer", "instance", "group", "spectral")),
    *(f"resnet-{norm}" for norm in ("none", "batch", "layer", "instance", "group", "spectral")),
    *(f"sagan-{norm}" for norm in ("none", "spectral")),
    "r3gan-none",
    *(f"stylegan2-{kind}" for kind in ("orig", "resnet", "skip")),
    *(f"biggan-{norm}" for norm in ("none", "spectral")),
]
INDEPENDENT = [name for name in NAMES if not name.endswith("batch")]  # penalties per sample are allowed


def make_critic(name: str, shape: Shape, num_classes: int = 0, width: int = 4) -> nn.Module:
    family, norm = name.split("-")
    if family == "mlp":
        return mlp.Discriminator(shape, num_classes, hidden=[4 * width, 2 * width], norm=norm)
    if family == "dcgan":
        return dcgan.Discriminator(shape, num_classes, width=width, max_width=4 * width, norm=norm)
    if family == "r3gan":
        return r3gan.Discriminator(shape, num_classes, widths=[2 * width] * 5, blocks=[1] * 5, group_size=4)
    if family == "stylegan2":  # in groups of one image, whose deviation is 0: the logits are independent
        return stylegan2.Discriminator(shape, num_classes, widths=[2 * width] * 5, kind=norm, group=1)
    if family == "biggan":
        chosen = {"small_factor": 2, "attention": min(shape[1:]) // 2, "init": "orthogonal"}
        return biggan.Discriminator(shape, num_classes, width=width, norm=norm, **chosen)
    pool = "sum" if norm == "spectral" else "mean"
    attention = min(shape[1:]) // 2 if family == "sagan" else None
    return resnet.Discriminator(shape, num_classes, width=width, norm=norm, pool=pool, attention=attention)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", SIDES)
def test_one_logit_per_image_of_every_side(name: str, side: int) -> None:
    torch.manual_seed(0)
    D = make_critic(name, (3, side, side))
    judgement = D(torch.rand(2, 3, side, side), None)
    assert judgement.logits.shape == (2,)
    assert (len(judgement.features), judgement.features.dim()) == (2, 2)
    assert (D.shape, D.num_classes) == ((3, side, side), 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels(name: str, channels: int) -> None:
    assert make_critic(name, [channels, 8, 8])(torch.rand(2, channels, 8, 8), None).logits.shape == (2,)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "spectral"])
def test_dense_critic_accepts_points(norm: str) -> None:
    assert make_critic(f"mlp-{norm}", (2,))(torch.rand(5, 2), None).logits.shape == (5,)


@pytest.mark.parametrize("name", ["dcgan-none", "resnet-none"])
def test_convolutional_critics_refuse_other_sides(name: str) -> None:
    for shape in [(1, 27, 27), (1, 28, 30), (2,)]:
        with pytest.raises(ValueError, match=r"^data.shape must have a (side of 8, 10, 12, |longer side)"):
            make_critic(name, shape)


@pytest.mark.parametrize(
    "name", ["dcgan-none", "resnet-spectral", "sagan-spectral", "biggan-spectral", "r3gan-none", "stylegan2-orig"]
)
@pytest.mark.parametrize("shape", [(3, 8, 12), (1, 28, 16), (3, 64, 96)])
def test_one_logit_per_image_that_is_not_square(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    assert make_critic(name, shape)(torch.rand(2, *shape), None).logits.shape == (2,)


def compute_influence(D: nn.Module) -> Tensor:
    """Return the largest |dD(x)[0] / dx[j]| for each of the images j: [3]."""
    x = torch.rand(3, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(D(x, None).logits[0], x)
    return gradient.abs().amax((1, 2, 3))


@pytest.mark.parametrize("name", INDEPENDENT)
def test_logit_depends_only_on_its_own_image(name: str) -> None:
    torch.manual_seed(0)
    own, *others = compute_influence(make_critic(name, (1, 8, 8)))
    assert own > 0
    assert others == [0, 0]


@pytest.mark.parametrize("name", ["mlp-batch", "dcgan-batch", "resnet-batch"])
def test_batch_norm_couples_the_images(name: str) -> None:
    torch.manual_seed(0)
    assert compute_influence(make_critic(name, (1, 8, 8))).min() > 0


@pytest.mark.parametrize("name", INDEPENDENT)
@pytest.mark.parametrize("penalty", [r1, gradient_penalty])
def test_penalty_gradient_equals_a_finite_difference(name: str, penalty: object) -> None:
    """Differentiate the penalty twice, along a random direction of the weights."""
    torch.manual_seed(0)
    D = make_critic(name, (1, 8, 8), num_classes=2).double()
    x, c = torch.rand(4, 1, 8, 8, dtype=torch.float64), torch.arange(4) % 2
    for _ in range(100 if name.endswith("spectral") else 0):
        D(x, c)  # lets the singular vectors converge
    D.eval()
    parameters = list(D.parameters())
    directions = [torch.randn_like(parameter) for parameter in parameters]

    def value() -> Tensor:
        return penalise(penalty, lambda images: D(images, c), x, x).sum()

    value().backward()
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, directions) if p.grad is not None)
    assert_close(slope, compute_finite_difference(value, parameters, directions), rtol=1e-4, atol=1e-8)
    assert slope.abs() > 1e-6


def compute_finite_difference(value: object, parameters: list[Tensor], directions: list[Tensor]) -> Tensor:
    step, ends = 1e-9, []  # small enough to cross no ReLU threshold
    for sign in (1, -2):
        for parameter, direction in zip(parameters, directions):
            parameter.data.add_(direction, alpha=sign * step)
        ends.append(value().detach())
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("name", NAMES)
def test_class_changes_the_logit(name: str) -> None:
    torch.manual_seed(0)
    D = make_critic(name, (1, 8, 8), num_classes=3).eval()
    logits = D(torch.rand(1, 1, 8, 8).expand(3, 1, 8, 8), torch.arange(3)).logits
    assert logits.unique().numel() == 3


@pytest.mark.parametrize("name", NAMES)
def test_unconditional_critic_ignores_the_class(name: str) -> None:
    torch.manual_seed(0)
    D, x = make_critic(name, (1, 8, 8)).eval(), torch.rand(2, 1, 8, 8)
    assert torch.equal(D(x, None).logits, D(x, torch.tensor([7, 99])).logits)


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_loaded_states_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    D, other = (make_critic(name, (1, 8, 8), num_classes=2) for _ in range(2))
    x, c = torch.rand(4, 1, 8, 8), torch.arange(4) % 2
    D(x, c)  # moves the running statistics and the singular vectors
    other.load_state_dict(load(save(D.state_dict())), strict=True)
    twin = copy.deepcopy(D)
    expected = D.eval()(x, c).logits
    assert torch.equal(other.eval()(x, c).logits, expected)
    assert torch.equal(twin.eval()(x, c).logits, expected)


def random_blobs(n: int, side: int) -> Tensor:
    """Return images with random colours and large shapes, like real ones: [n, 3, side, side] in [-1, 1]."""
    return nn.functional.interpolate(torch.rand(n, 3, 3, 3) * 2 - 1, side, mode="bilinear")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("spectral")])
@pytest.mark.parametrize("side", [8, 28, 64])
def test_first_logits_neither_vanish_nor_explode(name: str, side: int) -> None:
    torch.manual_seed(0)
    D = make_critic(name, (3, side, side), width=32)
    with torch.no_grad():
        assert 0.03 < D(random_blobs(32, side)).logits.std() < 30


def test_spectral_norm_bounds_the_slope_by_one() -> None:
    """A composition of maps with norm 1 (Miyato et al. 2018, eq. 7): the dense critic consists of such maps."""
    torch.manual_seed(0)
    D = make_critic("mlp-spectral", (3, 8, 8))
    for _ in range(200):
        D(torch.rand(2, 3, 8, 8))
    slopes = penalise(r1, D, *torch.rand(2, 64, 3, 8, 8)).sqrt()
    assert slopes.max() <= 1 + 1e-5
    assert slopes.max() > 0.01


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameter_count_of_the_published_critics() -> None:
    """DCGAN 2.93 M and SNGAN 1.05 M for CIFAR-10, in closed form; pooling has no parameters."""
    pairs = [(3, 64), (64, 128), (128, 256)]
    downs = sum(i * o * 9 + o * o * 16 + 2 * o + 4 * o for i, o in pairs)
    expected = downs + 256 * 512 * 9 + 512 + 2 * 512 + 513
    assert (
        count_parameters(dcgan.Discriminator((3, 32, 32), width=64, max_width=512, norm="batch"))
        == expected
        == 2_931_009
    )
    conv = 128 * 128 * 9 + 128
    expected = (3 * 128 * 9 + 128 + conv + 3 * 128 + 128) + (2 * conv + 128 * 128 + 128) + 4 * conv + 129
    for norm, pool in (("spectral", "sum"), ("none", "mean")):
        D = resnet.Discriminator((3, 32, 32), width=128, norm=norm, pool=pool)
        assert count_parameters(D) == expected == 1_053_825


def test_parameter_count_of_the_dense_critics() -> None:
    assert count_parameters(mlp.Discriminator((1, 28, 28), hidden=[128], norm="none")) == 785 * 128 + 129
    large = mlp.Discriminator((1, 28, 28), hidden=[512, 256, 128], norm="none")
    assert count_parameters(large) == 785 * 512 + 513 * 256 + 257 * 128 + 129


@pytest.mark.parametrize(("side", "final_side"), [(8, 4), (14, 7), (20, 5), (28, 7), (32, 8), (48, 6), (64, 8)])
def test_residual_critic_halves_to_at_most_eight(side: int, final_side: int) -> None:
    D = make_critic("resnet-none", (1, side, side))
    blocks = [block for block in D.body if isinstance(block, resnet.ResidualBlock)]
    sides = [side]
    x = torch.rand(1, 1, side, side)
    for block in blocks:
        x = block(x)
        sides.append(x.shape[-1])
    assert sides[-3:] == [final_side] * 3
    assert len(blocks) == math.log2(side / final_side) + 2
    assert sides[-4] == 2 * final_side


def test_convolutional_critic_sums_its_features_over_positions() -> None:
    torch.manual_seed(0)
    D = make_critic("dcgan-none", (1, 8, 8))
    features, D.body = D.head.linear.in_features, nn.Identity()
    once = torch.rand(2, features, 1, 1)
    assert_close(D(once.expand(2, features, 4, 4)).logits, D(16 * once).logits)


def test_sum_pool_equals_the_mean_times_the_number_of_positions() -> None:
    torch.manual_seed(0)
    D = make_critic("resnet-none", (1, 32, 32))
    x = torch.rand(2, 1, 32, 32)
    by_mean = D(x).logits - D.head.linear.bias
    D.pool = Tensor.sum
    assert_close(D(x).logits - D.head.linear.bias, 64 * by_mean)
