"""The shipped networks: what they are, how they treat images, and the accuracy of the stored files."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.data.digits import Digits
from gantry.features.small_classifier import SMALL_NET_SPECS, SmallNet, load_small_net

ROOT = Path(__file__).parents[2]
NAMES = tuple(SMALL_NET_SPECS)


def noise(n: int, c: int, h: int, w: int) -> Tensor:
    """The same uint8 noise images every time."""
    return torch.randint(256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def accuracy(net: SmallNet, images: Tensor, labels: Tensor) -> float:
    guesses = torch.cat([net(batch).probabilities.argmax(1) for batch in images.split(500)])
    return (guesses == labels).double().mean().item()


@pytest.mark.parametrize(
    ("name", "dim", "size"),
    [("digits", 64, (1, 8, 8)), ("mnist", 128, (1, 28, 28)), ("cifar10", 256, (3, 32, 32))],
)
def test_a_shipped_network_is_frozen_and_small_with_its_attributes(name: str, dim: int, size: tuple) -> None:
    net = load_small_net(name)
    file = ROOT / f"src/gantry/features/weights/{name}.safetensors"
    assert (net.name, net.dim, net.num_classes, net.size) == (name, dim, 10, size)
    assert net.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.stat().st_size < 4_000_000
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", NAMES)
def test_features_and_probabilities_have_their_shapes_and_rows_sum_to_one(name: str) -> None:
    net = load_small_net(name)
    features, probabilities = net(noise(5, *net.size))
    assert (features.shape, features.dtype) == ((5, net.dim), torch.float32)
    assert (probabilities.shape, probabilities.dtype) == ((5, 10), torch.float32)
    assert_close(probabilities.sum(1), torch.ones(5))
    assert_close(probabilities.log().diff(dim=1), net.head(features).diff(dim=1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_scored_by_itself(name: str) -> None:
    net = load_small_net(name)
    images = noise(6, *net.size)
    assert_close(net(images[2:3]).features, net(images).features[2:3], rtol=1e-4, atol=1e-5)
    x = net.preprocess(images).requires_grad_()
    (gradient,) = torch.autograd.grad(net.extract_features(x)[0].sum(), x)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0


def test_grey_images_are_repeated_for_a_colour_network() -> None:
    net, grey = load_small_net("cifar10"), noise(3, 1, 32, 32)
    assert torch.equal(net.preprocess(grey), net.preprocess(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(("channel", "luma"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_colour_becomes_luma_for_a_grey_network(channel: int, luma: float) -> None:
    net = load_small_net("mnist")
    images = torch.zeros(1, 3, 28, 28, dtype=torch.uint8)
    images[:, channel] = 200
    level = net.preprocess(images) * net.std + net.mean
    assert_close(level, torch.full((1, 1, 28, 28), luma * 200 / 255))


@pytest.mark.parametrize("sides", [(8, 8), (28, 28), (48, 64), (500, 31)])
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_image_of_any_side_stays_constant(name: str, sides: tuple[int, int]) -> None:
    net = load_small_net(name)
    x = net.preprocess(torch.full((1, 1, *sides), 100, dtype=torch.uint8))
    assert x.shape == (1, *net.size)
    assert_close(x * net.std + net.mean, torch.full_like(x, 100 / 255))


def test_halving_averages_neighbours_and_does_not_round() -> None:
    net = load_small_net("digits")
    ramp = torch.arange(16, dtype=torch.uint8).expand(1, 1, 16, 16)
    levels = (net.preprocess(ramp) * net.std + net.mean)[0, 0] * 255
    middle = 2 * torch.arange(1.0, 7.0) + 0.5  # a symmetric filter keeps a ramp; the borders lack neighbours
    assert_close(levels[:, 1:7], middle.expand(8, 6), rtol=0, atol=1e-4)


def test_a_shrunk_image_sees_every_column() -> None:
    net = load_small_net("digits")
    stripes = (torch.arange(32) % 4 == 0) * 200  # plain bilinear at a quarter reads the dark columns 1 and 2 only
    image = stripes.to(torch.uint8).expand(1, 1, 32, 32)
    levels = (net.preprocess(image) * net.std + net.mean)[0, 0] * 255
    assert_close(levels[:, 1:7], torch.full((8, 6), 50.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 8, 8),
        torch.zeros(8, 8, dtype=torch.uint8),
        torch.zeros(2, 4, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_tensors_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be uint8 \[N, 1 or 3, H, W\], got"):
        load_small_net("digits")(images)


def test_an_unknown_name_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="small_net must be one of digits, mnist, cifar10, got imagenet"):
        load_small_net("imagenet")


def test_autocast_around_it_changes_nothing() -> None:
    net, images = load_small_net("cifar10"), noise(4, 3, 32, 32)
    expected = net(images)
    with torch.autocast("cpu", torch.bfloat16):
        result = net(images)
    assert torch.equal(result.features, expected.features)
    assert torch.equal(result.probabilities, expected.probabilities)


@pytest.mark.gpu
def test_a_gpu_gives_the_features_of_the_cpu() -> None:
    net, images = load_small_net("cifar10"), noise(64, 3, 32, 32)
    expected = net(images)
    result = net.cuda()(images.cuda())
    assert_close(result.features.cpu(), expected.features, rtol=1e-4, atol=1e-5)
    assert_close(result.probabilities.cpu(), expected.probabilities, rtol=1e-4, atol=1e-5)


def test_digits_are_recognised() -> None:
    test = Digits().load().test
    assert accuracy(load_small_net("digits"), test.x, test.c) >= 0.99


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("mnist", 0.996), ("cifar10", 0.93)])
def test_real_test_images_are_recognised(name: str, least: float) -> None:
    from torchvision import datasets

    dataset = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[name]
    data = dataset(Path(os.environ["GANTRY_DATA_DIR"]).expanduser(), train=False)
    images = torch.as_tensor(data.data)
    images = images.movedim(3, 1) if name == "cifar10" else images.unsqueeze(1)
    assert len(images) == 10_000
    assert accuracy(load_small_net(name), images, torch.as_tensor(data.targets)) >= least
