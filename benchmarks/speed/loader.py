"""The loader alone: images per second from memory and from files, and its share of a turn."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from gantry.data.folder import Folder
from gantry.data.images import Split, to_float
from gantry.data.sampler import Order
from speed.experiments import Options
from speed.markdown_page import table
from speed.noise_data import Noise
from speed.plain_loop import GANTRY
from speed.timing import in_turns, ratio
from speed.turn import races

BATCH = 64
HEADER = ("images", "Gantry, images/s", "a DataLoader", "times")
SHARES = ("net", "loading a turn", "share of the turn")


def measure(options: Options) -> str:
    """Two tables."""
    rows = [in_memory(name, shape, options) for name, shape in {"1x8x8": (1, 8, 8), "3x32x32": (3, 32, 32)}.items()]
    rows += [from_files(workers, options) for workers in (1, 2)]
    return table(HEADER, rows) + "\n\n" + table(SHARES, [share(*item, options) for item in races(options).items()])


def ours(split: Split, options: Options, flip: bool = True, batches: int = 1, batch: int = BATCH) -> Iterator[Any]:
    order = Order(n=len(split), seed=0, batch_size=batch, batches_per_turn=batches, flip=flip)
    return split.turns(order, 0, options.device)


def endless(loader: DataLoader) -> Iterator[Any]:
    while True:
        yield from loader


def taking(batches: Iterator[Any], n: int) -> Callable[[], object]:
    """The work of taking the next n batches."""
    return lambda: [None for _ in islice(batches, n)]


def raced(name: str, works: dict[str, Callable[[], object]], images: int, options: Options) -> list[str]:
    """A row: two loaders in turns, `images` at a time."""
    times = in_turns(works, options.rounds, options.device)
    mine, theirs = (values for values in times.values())
    rates = [f"{images / median(values):,.0f}" for values in (mine, theirs)]
    return [name, *rates, ratio(theirs, mine)]


def in_memory(name: str, shape: tuple[int, ...], options: Options) -> list[str]:
    """Random crops of nothing: shuffled, mirrored, as floats in [-1, 1] on the device."""
    split, n = Noise(shape, options.size(20_000, 200)).load().train, options.size(100, 2)

    def collate(items: list[tuple[torch.Tensor, ...]]) -> torch.Tensor:
        x = torch.stack([x for x, _ in items])
        return to_float(x, torch.rand(len(x)) < 0.5).to(options.device)

    theirs = DataLoader(TensorDataset(split.x, split.c), BATCH, shuffle=True, drop_last=True, collate_fn=collate)
    works = {"ours": taking(ours(split, options), n), "theirs": taking(endless(theirs), n)}
    return raced(f"{name}, in memory, batches of {BATCH}", works, n * BATCH, options)


def from_files(workers: int, options: Options) -> list[str]:
    """PNG files of 3x64x64 that are decoded by workers and reduced to 3x32x32 while they are wanted."""
    count, n = options.size(2000, 130), options.size(40, 1)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "class", count)
        split = Folder(folder, (3, 32, 32), test_share=0, min_images=1, memory_limit=0, workers=workers).load().train
        loader = {"shuffle": True, "drop_last": True, "num_workers": workers, "persistent_workers": True}
        theirs = endless(DataLoader(image_folder(folder), BATCH, **loader))
        mine = ours(split, options)
        works = {"ours": taking(mine, n), "theirs": taking(theirs, n)}
        few = replace(options, rounds=min(5, options.rounds))
        row = raced(f"PNG files, workers: {workers}", works, n * BATCH, few)
        del mine, theirs, works  # ends their workers
    return row


def image_folder(root: str) -> Dataset:
    """torchvision's, with the same transformation."""
    steps = [v2.Resize(32, interpolation=v2.InterpolationMode.LANCZOS), v2.RandomHorizontalFlip()]
    return ImageFolder(
        root, v2.Compose([*steps, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    )


def write_images(folder: Path, count: int) -> None:
    """Smooth pictures of 64x64."""
    folder.mkdir()
    stream = np.random.default_rng(0)
    for i in range(count):
        small = Image.fromarray(stream.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{i}.png")


def share(name: str, result: dict[str, Any], options: Options) -> list[str]:
    """Time to load a turn's images from memory, which nothing else can hide, in the time of the turn."""
    split = Noise(tuple(result["shape"])).load().train
    batches = ours(split, options, flip=False, batches=result["images"] // result["batch"], batch=result["batch"])
    n = options.size(100, 2)
    spent = median(in_turns({"ours": taking(batches, n)}, options.rounds, options.device)["ours"]) / n
    return [name, f"{1000 * spent:.3f} ms", f"{spent / median(result['times'][GANTRY]):.2%}"]
