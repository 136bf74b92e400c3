import torch

from gantry.pixels import from_uint8, to_uint8


def test_uint8_round_trip_is_exact() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)


def test_from_uint8_maps_0_and_255_to_minus_one_and_one() -> None:
    assert from_uint8(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_to_uint8_rounds_to_the_nearest_level_and_clamps() -> None:
    level = torch.tensor([99.4, 99.6, -30.0, 400.0])
    assert to_uint8(level / 127.5 - 1).tolist() == [99, 100, 0, 255]
