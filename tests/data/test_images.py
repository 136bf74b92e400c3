"""Images in memory: ranges, mirrors, digests and turns."""

import dataclasses
from itertools import islice

import pytest
import torch

from gantry.data.images import InMemoryImages, RealData, flip_and_scale
from gantry.data.sampler import InfiniteSampler
from gantry.pixels import to_uint8

CPU = torch.device("cpu")


def numbered(n: int) -> InMemoryImages:
    """Image i is of class i and has the levels i on the left and 255 - i on the right."""
    left = torch.arange(n, dtype=torch.uint8)
    return InMemoryImages(torch.stack([left, 255 - left], dim=1).view(n, 1, 1, 2), torch.arange(n))


def test_bytes_come_as_floats_from_minus_one_to_one_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = flip_and_scale(levels, None)
    assert (x.min().item(), x.max().item()) == (-1, 1)
    assert torch.equal(to_uint8(x), levels)


def test_only_the_images_told_to_are_mirrored() -> None:
    x = numbered(2).x
    flipped = to_uint8(flip_and_scale(x, torch.tensor([True, False])))
    assert torch.equal(flipped[0], x[0].flip(-1))
    assert torch.equal(flipped[1], x[1])


def test_turns_show_the_images_of_the_order_with_their_labels() -> None:
    images, order = numbered(10), InfiniteSampler(10, seed=3, batch_size=4, batches_per_turn=3, flip=True)
    for turn, (x, c) in enumerate(islice(images.iter_turns(order, 2, CPU), 4), start=2):
        assert (x.shape, x.dtype, c.shape, c.dtype) == ((3, 4, 1, 1, 2), torch.float32, (3, 4), torch.int64)
        assert torch.equal(c, order.sample_indices(turn, CPU))
        left = torch.where(order.sample_flips(turn, CPU), 255 - c, c)
        assert torch.equal(to_uint8(x)[..., 0, 0, 0].long(), left)


@pytest.mark.gpu
def test_a_gpu_yields_the_turns_of_the_cpu_and_never_waits() -> None:
    images, order = numbered(10), InfiniteSampler(10, seed=3, batch_size=4, batches_per_turn=3, flip=True)
    turns = images.iter_turns(order, 0, torch.device("cuda"))
    first = next(turns)  # moves the images to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = [first, *islice(turns, 8)]  # nine turns are eleven epochs
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (x, c), (x_cpu, c_cpu) in zip(on_gpu, images.iter_turns(order, 0, CPU)):
        assert torch.equal(x.cpu(), x_cpu)
        assert torch.equal(c.cpu(), c_cpu)


def test_points_pass_unchanged() -> None:
    points = InMemoryImages(torch.rand(6, 2), torch.zeros(6, dtype=torch.int64))
    x, _ = next(points.iter_turns(InfiniteSampler(6, seed=0, batch_size=6, batches_per_turn=1), 0, CPU))
    assert torch.equal(x[0].sort(0).values, points.x.sort(0).values)


def test_the_digest_sees_pixels_and_shape_and_not_the_labels() -> None:
    images = numbered(4)
    assert images.drop_labels().digest == images.digest
    others = [
        images.load_range(0, 3),
        dataclasses.replace(images, x=images.x.flip(0)),
        dataclasses.replace(images, x=images.x.view(4, 1, 2, 1)),
    ]
    assert numbered(4).digest == images.digest
    assert len({images.digest, *(other.digest for other in others)}) == 4


def test_splits_go_by_name() -> None:
    data = RealData("few", numbered(3), numbered(0), ("a", "b", "c"))
    assert data.get_split("train") is data.train
    assert data.get_digest("train") == data.train.digest
    assert (data.shape, data.num_classes) == ((1, 1, 2), 3)
    assert data.drop_labels().num_classes == 0
    assert data.drop_labels().train.c.tolist() == [0, 0, 0]
    for name in ("test", "valid"):
        with pytest.raises(ValueError, match=rf"^split must be train, where few has images, got '{name}'$"):
            data.get_split(name)


def test_a_set_without_an_image_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="none in few"):
        RealData("few", numbered(0), numbered(3), ())
