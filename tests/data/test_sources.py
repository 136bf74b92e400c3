"""The contents of the embedded and the generated data sets."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gantry.data.digits import Digits, StackedDigits
from gantry.data.images import DataSource, InMemoryImages, RealData
from gantry.data.toys import GaussianMixture, make_grid, make_ring


def test_digits_equal_those_of_scikit_learn() -> None:
    data = Digits().load()
    assert (len(data.train), len(data.test), data.shape) == (1437, 360, (1, 8, 8))
    assert data.classes == tuple("0123456789")
    x, c = torch.cat([data.train.x, data.test.x]), torch.cat([data.train.c, data.test.c])
    assert c.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert len(x.unique()) == 17
    assert (x.min().item(), x.max().item()) == (0, 255)
    assert x.float().mean().item() == pytest.approx(4.884165 * 255 / 16, abs=0.05)  # 4.88: mean of the 17 levels


def test_digits_have_a_fixed_split_without_overlap() -> None:
    first, second = Digits().load(), Digits().load()
    assert first.get_digest("test") == second.get_digest("test")
    x = torch.cat([first.train.x, first.test.x]).flatten(1)
    assert len(x.unique(dim=0)) == 1797


def nearest_centres(images: InMemoryImages, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance to the nearest centre and its index."""
    nearest = torch.cdist(images.x, centres).min(dim=1)
    return nearest.values, nearest.indices


@pytest.mark.parametrize(("source", "modes", "sigma"), [(make_ring, 8, 0.02 / 2.5), (make_grid, 25, 0.05 / 5)])
def test_toys_have_the_published_modes_and_widths(source: type[GaussianMixture], modes: int, sigma: float) -> None:
    toy = source(train=20_000, test=1_000)
    data = toy.load()
    assert (data.shape, data.num_classes, len(data.train), len(data.test)) == ((2,), modes, 20_000, 1_000)
    distance, mode = nearest_centres(data.train, toy.centres / toy.scale)
    assert torch.equal(mode, data.train.c)
    assert distance.square().mean().sqrt().item() == pytest.approx(sigma * 2**0.5, rel=0.03)
    assert (mode.bincount() / 20_000 - 1 / modes).abs().max().item() < 0.01
    assert data.train.x.abs().max().item() < 1
    assert not torch.equal(data.train.c[:1_000], data.test.c)
    assert toy.load().get_digest("train") == data.get_digest("train")


def test_the_ring_has_radius_0_8_and_the_grid_reaches_0_8() -> None:
    ring, grid = make_ring(1, 1), make_grid(1, 1)
    torch.testing.assert_close((ring.centres / ring.scale).norm(dim=1), torch.full((8,), 0.8))
    assert (grid.centres / grid.scale).unique().tolist() == pytest.approx([-0.8, -0.4, 0, 0.4, 0.8])


class ShadeDigits:
    """Grey digits of one pixel: digit d has the level 10 d (train) or 10 d + 1 (test)."""

    def load(self) -> RealData:
        c = torch.arange(10)
        train, test = (InMemoryImages((10 * c + i).to(torch.uint8).view(10, 1, 1, 1), c) for i in (0, 1))
        return RealData("shades", train, test, tuple("0123456789"))


def test_stacked_labels_are_the_digits_of_the_three_channels() -> None:
    data = StackedDigits(ShadeDigits(), train=20_000, test=500).load()
    assert (data.name, data.shape, data.num_classes) == ("stacked_shades", (3, 1, 1), 1000)
    for split, offset in ((data.train, 0), (data.test, 1)):
        digits = (split.x.flatten(1).long() - offset) // 10  # [N, 3]
        assert split.c.tolist() == [int("".join(map(str, three))) for three in digits.tolist()]
    assert len(data.train.c.unique()) == 1000
    assert data.classes[42] == "042"


def test_stacked_digits_contain_the_digits_of_scikit_learn() -> None:
    digits, data = Digits().load(), StackedDigits(Digits(), train=2_000, test=100).load()
    labels = {image.numpy().tobytes(): label.item() for image, label in zip(digits.test.x, digits.test.c)}
    for image, label in zip(data.test.x, data.test.c):
        a, b, c = (labels[channel.numpy().tobytes()] for channel in image)
        assert label == 100 * a + 10 * b + c


def test_source_in_the_docs_works() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    start, stop = docs.index("    @dataclass"), docs.index("`DataSource`, ")
    namespace = {cls.__name__: cls for cls in (DataSource, InMemoryImages, RealData)}
    namespace |= {"torch": torch, "dataclass": dataclass}
    exec(textwrap.dedent(docs[start:stop]), namespace)
    data = namespace["Halves"](side=4).load()  # type: ignore[operator]
    assert data.train.x[:, 0, 0].tolist() == [[255, 255, 0, 0], [0, 0, 255, 255]]
