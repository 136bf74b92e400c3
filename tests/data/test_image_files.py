"""Folders that do not fit in memory: the same turns as from memory, with any number of workers."""

import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gantry.data.folder import ImageFolder
from gantry.data.image_files import ImageFiles
from gantry.data.images import InMemoryImages, RealData
from gantry.data.sampler import InfiniteSampler

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write 24 noise images of different sizes into two class folders."""
    random = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / ("cats", "dogs")[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(256, size=(8 + i, 12, 3), dtype=np.uint8)).save(path)
    return tmp_path


def load(root: Path, **changes: Any) -> RealData:
    settings = {"shape": [3, 8, 8], "test_share": 0.2, "min_images": 1, "memory_limit": 0, "workers": 0}
    return ImageFolder(str(root), **{**settings, **changes}).load()


def make_sampler(n: int, **arguments: int) -> InfiniteSampler:
    return InfiniteSampler(n, seed=5, batch_size=6, batches_per_turn=2, flip=True, **arguments)


def test_memory_limit_selects_the_class(root: Path) -> None:
    megabytes = 24 * 3 * 8 * 8 / 1e6
    assert isinstance(load(root, memory_limit=megabytes).train, InMemoryImages)
    assert isinstance(load(root, memory_limit=megabytes * 0.99).train, ImageFiles)


@pytest.mark.parametrize("workers", [0, 2])
def test_turns_equal_those_from_memory(root: Path, workers: int) -> None:
    memory, disk = load(root, memory_limit=1).train, load(root, workers=workers).train
    ours, theirs = (split.iter_turns(make_sampler(len(memory)), 3, CPU) for split in (disk, memory))
    for (x, c), (x_memory, c_memory) in islice(zip(ours, theirs), 5):
        assert torch.equal(x, x_memory)
        assert torch.equal(c, c_memory)


def test_processes_split_the_batch_of_one_process(root: Path) -> None:
    files = load(root).train
    expected, _ = next(files.iter_turns(make_sampler(len(files)), 1, CPU))
    parts = [next(files.iter_turns(make_sampler(len(files), rank=r, world_size=2), 1, CPU))[0] for r in range(2)]
    assert torch.equal(torch.cat(parts, dim=1), expected)


def test_global_generator_is_not_used(root: Path) -> None:
    torch.manual_seed(0)
    files = load(root).train
    next(files.iter_turns(make_sampler(len(files)), 0, CPU))
    value = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(value, torch.rand(1))


def test_load_range_equals_a_slice_from_memory(root: Path) -> None:
    memory, disk = load(root, memory_limit=1).train, load(root).train
    expected, part = memory.load_range(0, len(memory)), disk.load_range(3, 7)
    assert torch.equal(part.x, expected.x[3:7])
    assert torch.equal(part.c, expected.c[3:7])
    assert (len(disk.load_range(5, 5)), len(disk.load_range(len(disk) - 1, len(disk) + 9))) == (0, 1)


def test_labels_can_be_ignored(root: Path) -> None:
    assert load(root).drop_labels().train.load_range(0, 4).c.tolist() == [0, 0, 0, 0]


def test_digest_depends_on_names_sizes_and_modification_times(root: Path) -> None:
    files = load(root).train
    assert load(root).train.digest == files.digest == files.drop_labels().digest
    digests = {files.digest, load(root, shape=[3, 4, 4]).train.digest}
    with (root / files.names[0]).open("ab") as file:
        file.write(b"more")
    digests.add(load(root).train.digest)
    os.utime(root / files.names[1], ns=(1, 1))
    assert len({*digests, load(root).train.digest}) == 4


def test_damaged_file_is_reported_once_and_replaced_by_the_next(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = load(root).train
    last_cat = len(files) - int(files.c.sum()) - 1
    path = root / files.names[last_cat]
    path.write_bytes(path.read_bytes()[:200])  # the header is whole
    with caplog.at_level(logging.WARNING):
        reloaded = load(root).train
        for _ in range(2):
            x, c = reloaded[last_cat]
    assert len(reloaded) == len(files)
    assert torch.equal(x, reloaded[last_cat + 1][0])
    assert c == 1
    assert [files.names[last_cat] in record.getMessage() for record in caplog.records] == [True]


def test_folder_with_only_damaged_files_is_an_error(root: Path) -> None:
    files = load(root).train
    for name in files.names:
        (root / name).write_bytes((root / name).read_bytes()[:200])
    with pytest.raises(ValueError, match="without a readable one"):
        files[0]
