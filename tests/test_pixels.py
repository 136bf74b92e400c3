import torch

from gantry.pixels import from_uint8, to_uint8


def test_every_level_comes_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)


def test_ends_of_the_range() -> None:
    assert from_uint8(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_rounds_to_the_nearest_level_and_clamps() -> None:
    level = torch.tensor([99.4, 99.6, -30.0, 400.0])
    assert to_uint8(level / 127.5 - 1).tolist() == [99, 100, 0, 255]
