"""Images in memory: ranges, flips, digests and turns."""

import dataclasses
from itertools import islice

import pytest
import torch

from gantry.data.images import InMemoryImages, RealData, flip_and_scale
from gantry.data.sampler import InfiniteSampler
from gantry.pixels import to_uint8

CPU = torch.device("cpu")


def make_numbered_images(n: int) -> InMemoryImages:
    """Return n images of 1x2 pixels: image i has class i, level i on the left and 255 - i on the right."""
    left = torch.arange(n, dtype=torch.uint8)
    return InMemoryImages(torch.stack([left, 255 - left], dim=1).view(n, 1, 1, 2), torch.arange(n))


def test_flip_and_scale_round_trip_is_exact() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = flip_and_scale(levels, None)
    assert (x.min().item(), x.max().item()) == (-1, 1)
    assert torch.equal(to_uint8(x), levels)


def test_flips_select_the_mirrored_images() -> None:
    x = make_numbered_images(2).x
    flipped = to_uint8(flip_and_scale(x, torch.tensor([True, False])))
    assert torch.equal(flipped[0], x[0].flip(-1))
    assert torch.equal(flipped[1], x[1])


def test_turns_have_the_images_and_labels_of_the_sampler() -> None:
    images, sampler = make_numbered_images(10), InfiniteSampler(10, seed=3, batch_size=4, batches_per_turn=3, flip=True)
    for turn, (x, c) in enumerate(islice(images.iter_turns(sampler, 2, CPU), 4), start=2):
        assert (x.shape, x.dtype, c.shape, c.dtype) == ((3, 4, 1, 1, 2), torch.float32, (3, 4), torch.int64)
        assert torch.equal(c, sampler.sample_indices(turn, CPU))
        left = torch.where(sampler.sample_flips(turn, CPU), 255 - c, c)
        assert torch.equal(to_uint8(x)[..., 0, 0, 0].long(), left)


@pytest.mark.gpu
def test_gpu_yields_the_turns_of_the_cpu_without_synchronising() -> None:
    images, sampler = make_numbered_images(10), InfiniteSampler(10, seed=3, batch_size=4, batches_per_turn=3, flip=True)
    turns = images.iter_turns(sampler, 0, torch.device("cuda"))
    first = next(turns)  # moves the images to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = [first, *islice(turns, 8)]  # nine turns are eleven epochs
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (x, c), (x_cpu, c_cpu) in zip(on_gpu, images.iter_turns(sampler, 0, CPU)):
        assert torch.equal(x.cpu(), x_cpu)
        assert torch.equal(c.cpu(), c_cpu)


def test_points_are_unchanged() -> None:
    points = InMemoryImages(torch.rand(6, 2), torch.zeros(6, dtype=torch.int64))
    x, _ = next(points.iter_turns(InfiniteSampler(6, seed=0, batch_size=6, batches_per_turn=1), 0, CPU))
    assert torch.equal(x[0].sort(0).values, points.x.sort(0).values)


def test_digest_depends_on_pixels_and_shape_but_not_on_labels() -> None:
    images = make_numbered_images(4)
    assert images.drop_labels().digest == images.digest
    others = [
        images.load_range(0, 3),
        dataclasses.replace(images, x=images.x.flip(0)),
        dataclasses.replace(images, x=images.x.view(4, 1, 2, 1)),
    ]
    assert make_numbered_images(4).digest == images.digest
    assert len({images.digest, *(other.digest for other in others)}) == 4


def test_get_split_by_name() -> None:
    data = RealData("few", make_numbered_images(3), make_numbered_images(0), ("a", "b", "c"))
    assert data.get_split("train") is data.train
    assert data.get_digest("train") == data.train.digest
    assert (data.shape, data.num_classes) == ((1, 1, 2), 3)
    assert data.drop_labels().num_classes == 0
    assert data.drop_labels().train.c.tolist() == [0, 0, 0]
    for name in ("test", "valid"):
        with pytest.raises(ValueError, match=rf"^split must be train, where few has images, got '{name}'$"):
            data.get_split(name)


def test_empty_train_split_is_refused() -> None:
    with pytest.raises(ValueError, match="none in few"):
        RealData("few", make_numbered_images(0), make_numbered_images(3), ())
