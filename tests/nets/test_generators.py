"""The contract of every generator, at every size that it can build."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from gantry.nets import biggan, dcgan, mlp, r3gan, resnet, stylegan2
from gantry.nets.contract import count_latent_numbers

Shape = tuple[int, ...]
SIDES = [8, 14, 28, 32, 48, 64]


def make_dense(shape: Shape, num_classes: int = 0, norm: str = "none", activation: str = "relu") -> nn.Module:
    return mlp.Generator(shape, 5, num_classes, hidden=[16, 8], norm=norm, activation=activation)


def make_attentive(shape: Shape, num_classes: int = 0) -> nn.Module:
    """Return a generator of SAGAN with attention at full size."""
    return resnet.Generator(shape, 5, num_classes, width=8, attention=min(shape[1:]), spectral=True)


def make_r3gan(shape: Shape, num_classes: int = 0) -> nn.Module:
    return r3gan.Generator(shape, 5, num_classes, widths=[8] * 5, blocks=[1] * 5, group_size=8, embed_dim=3)


def make_stylegan2(shape: Shape, num_classes: int = 0, **changes: Any) -> nn.Module:
    settings = {"w_dim": 6, "mapping_layers": 2, "widths": [8] * 5, "kind": "skip"} | changes
    return stylegan2.Generator(shape, 5, num_classes, **settings)


def make_biggan(shape: Shape, num_classes: int = 0, z_dim: int = 5, **settings: Any) -> nn.Module:
    """Return a generator of BigGAN with attention at full size; by default of shared classes and z in one part."""
    chosen = {"width": 2, "small_factor": 4, "shared_dim": 6, "hierarchical": False, "init": "normal", "eps": 1e-4}
    return biggan.Generator(shape, z_dim, num_classes, attention=min(shape[1:]), **(chosen | settings))


CONVOLUTIONAL = ["dcgan", "resnet", "sagan", "biggan", "r3gan", "stylegan2"]
UNBOUNDED = ("r3gan", "stylegan2", "stylegan2-mixing")  # without tanh
GENERATORS = {
    "mlp": make_dense,
    "mlp-batch": lambda shape, num_classes=0: make_dense(shape, num_classes, "batch", "leaky"),
    "dcgan": lambda shape, num_classes=0: dcgan.Generator(shape, 5, num_classes, width=4, max_width=16),
    "resnet": lambda shape, num_classes=0: resnet.Generator(shape, 5, num_classes, width=8),
    "sagan": make_attentive,
    "biggan": make_biggan,
    "biggan-classes": partial(make_biggan, shared_dim=None),
    "r3gan": make_r3gan,
    "stylegan2": make_stylegan2,
    "stylegan2-mixing": lambda shape, num_classes=0: make_stylegan2(shape, num_classes, kind="resnet", mixing=0.9),
}
every_generator = pytest.mark.parametrize("name", GENERATORS)


def draw_latents(G: nn.Module, n: int) -> Tensor:
    return torch.randn(n, count_latent_numbers(G))


def check_images(G: nn.Module, shape: Shape, bounded: bool = True) -> None:
    for parameter in G.parameters():
        parameter.data.mul_(100)  # so that only the tanh keeps the images in [-1, 1]
    x = G(draw_latents(G, 4), None)
    assert x.shape == (4, *shape)
    assert x.dtype == torch.float32
    assert x.abs().max() > 0.9
    assert x.abs().max() <= 1 or not bounded
    assert (G.shape, G.z_dim, G.num_classes) == (shape, 5, 0)


@every_generator
@pytest.mark.parametrize("side", SIDES)
def test_images_of_every_side(name: str, side: int) -> None:
    torch.manual_seed(0)
    check_images(GENERATORS[name]((3, side, side)), (3, side, side), name not in UNBOUNDED)


@every_generator
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_with_any_number_of_channels(name: str, channels: int) -> None:
    torch.manual_seed(0)
    G = GENERATORS[name]([channels, 8, 8])  # a list, as a configuration gives it
    check_images(G, (channels, 8, 8), name not in UNBOUNDED)


@pytest.mark.parametrize("shape", [(2,), (1, 27, 27), (3, 7, 11)])
def test_dense_generator_builds_any_shape(shape: Shape) -> None:
    check_images(make_dense(shape), shape)


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_convolutional_generators_refuse_other_sides(name: str) -> None:
    for shape in [(1, 27, 27), (1, 28, 30), (2,)]:
        with pytest.raises(ValueError, match=r"^data.shape must have a (side of 8, 10, 12, |longer side)"):
            GENERATORS[name](shape)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("shape", [(3, 8, 12), (1, 28, 16), (3, 64, 96)])
def test_images_that_are_not_square(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    check_images(GENERATORS[name](shape), shape, name not in UNBOUNDED)


@every_generator
def test_class_changes_the_image(name: str) -> None:
    torch.manual_seed(0)
    G = GENERATORS[name]((1, 8, 8), num_classes=3).eval()
    for parameter in G.parameters():  # conditional BatchNorm starts equal for all classes
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    z = draw_latents(G, 1).expand(3, -1)
    x = G(z, torch.arange(3))
    assert (x[0] - x[1]).abs().max() > 1e-3
    assert (x[0] - x[2]).abs().max() > 1e-3


def test_conditional_batch_norm_starts_equal_for_all_classes() -> None:
    """Gains are 1 and biases 0; the initialisation of the other layers must not change them."""
    torch.manual_seed(0)
    G = GENERATORS["resnet"]((1, 8, 8), num_classes=3).eval()
    z = torch.randn(4, 5)
    assert torch.equal(G(z, torch.zeros(4).long()), G(z, torch.full((4,), 2)))
    assert G(z, torch.zeros(4).long()).std() > 0.02


@every_generator
def test_unconditional_generator_ignores_the_class(name: str) -> None:
    torch.manual_seed(0)
    G = GENERATORS[name]((1, 8, 8)).eval()
    z = draw_latents(G, 4)
    assert torch.equal(G(z, None), G(z, torch.tensor([0, 1, 2, 99])))


@every_generator
def test_conditional_generator_requires_classes(name: str) -> None:
    G = GENERATORS[name]((1, 8, 8), num_classes=3)
    with pytest.raises(AssertionError, match="needs classes"):
        G(draw_latents(G, 2), None)


@every_generator
def test_every_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    G = GENERATORS[name]((1, 8, 8), num_classes=2)
    x = G(draw_latents(G, 8), torch.arange(8) % 2)
    (x * torch.randn_like(x)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in G.parameters())


@every_generator
def test_copies_and_loaded_states_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    G, other = (GENERATORS[name]((1, 8, 8), num_classes=2) for _ in range(2))
    z, c = draw_latents(G, 8), torch.arange(8) % 2
    G(z, c)  # moves the running statistics
    other.load_state_dict(load(save(G.state_dict())), strict=True)
    twin = copy.deepcopy(G)
    expected = G.eval()(z, c)
    assert torch.equal(other.eval()(z, c), expected)
    assert torch.equal(twin.eval()(z, c), expected)


@every_generator
def test_generators_are_built_without_memory(name: str) -> None:
    """As stored ones are first, to compare their size with that of their weights."""
    with torch.device("meta"):
        sizes = {key: tensor.shape for key, tensor in GENERATORS[name]((1, 8, 8), num_classes=2).state_dict().items()}
    expected = GENERATORS[name]((1, 8, 8), num_classes=2).state_dict()
    assert sizes == {key: tensor.shape for key, tensor in expected.items()}


@every_generator
def test_first_images_are_neither_flat_nor_saturated(name: str) -> None:
    torch.manual_seed(0)
    wide_generators: dict[str, nn.Module] = {
        "mlp": mlp.Generator((3, 32, 32), 100, hidden=[128, 256, 512], norm="none", activation="relu"),
        "mlp-batch": mlp.Generator((3, 32, 32), 100, hidden=[128, 256, 512], norm="batch", activation="leaky"),
        "dcgan": dcgan.Generator((3, 32, 32), 128, width=16, max_width=128),
        "resnet": resnet.Generator((3, 32, 32), 128, width=64),
        "sagan": resnet.Generator((3, 32, 32), 128, width=64, attention=16, spectral=True),
        "r3gan": r3gan.Generator((3, 32, 32), 64, widths=[64] * 4, blocks=[2] * 4, group_size=16, embed_dim=8),
        "stylegan2": make_stylegan2((3, 32, 32), widths=[32] * 4, w_dim=64),
        "stylegan2-mixing": make_stylegan2((3, 32, 32), widths=[32] * 4, w_dim=64, kind="resnet", mixing=0.9),
    }
    wide_generators |= {
        "biggan": make_biggan((3, 32, 32), z_dim=80, width=16, hierarchical=True, init="orthogonal"),
        "biggan-classes": make_biggan((3, 32, 32), z_dim=128, width=16),
    }
    G = wide_generators[name]
    x: Tensor = G(draw_latents(G, 16))
    assert 0.02 < x.std(0).mean() < (2 if name in UNBOUNDED else 0.9)


@every_generator
def test_a_vector_equals_the_class_that_it_names(name: str) -> None:
    torch.manual_seed(0)
    G = GENERATORS[name]((1, 8, 8), num_classes=3).eval()
    z, c = draw_latents(G, 4), torch.tensor([2, 0, 1, 1])
    torch.testing.assert_close(G(z, torch.eye(3)[c]), G(z, c))
    assert not torch.equal(G(z, torch.full((4, 3), 0.5)), G(z, c))


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameter_count_of_the_published_generators() -> None:
    """DCGAN 3.81 M and SNGAN 4.28 M for CIFAR-10, in closed form."""
    kernel = 512 * 256 + 256 * 128 + 128 * 64
    norms = 2 * (512 + 256 + 128 + 64)
    expected = 129 * 512 * 16 + 16 * kernel + 256 + 128 + 64 + norms + 64 * 27 + 3
    assert count_parameters(dcgan.Generator((3, 32, 32), 128, width=64, max_width=512)) == expected == 3_813_379
    block = 2 * (256 * 256 * 9 + 256) + 256 * 256 + 256 + 2 * 512
    expected = 129 * 256 * 16 + 3 * block + 512 + 256 * 27 + 3
    assert count_parameters(resnet.Generator((3, 32, 32), 128, width=256)) == expected == 4_276_739


def test_parameter_count_of_the_small_dense_generator() -> None:
    G = mlp.Generator((1, 28, 28), 64, hidden=[256], norm="none", activation="relu")
    assert count_parameters(G) == 65 * 256 + 257 * 784
