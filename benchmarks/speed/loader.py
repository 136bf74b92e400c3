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
from torchvision.transforms import v2

from gantry.data.folder import ImageFolder
from gantry.data.images import Split, flip_and_scale
from gantry.data.sampler import InfiniteSampler
from speed.experiments import BenchmarkOptions
from speed.markdown_page import format_table
from speed.noise_data import NoiseSource
from speed.plain_loop import GANTRY
from speed.timing import format_ratio, measure_interleaved
from speed.turn import run_all_races

LOADER_BATCH = 64
HEADER = ("images", "Gantry, images/s", "a DataLoader", "times")
SHARE_HEADER = ("net", "loading a turn", "share of the turn")


def measure(options: BenchmarkOptions) -> str:
    """Two tables."""
    rows = [
        measure_in_memory(name, shape, options) for name, shape in {"1x8x8": (1, 8, 8), "3x32x32": (3, 32, 32)}.items()
    ]
    rows += [measure_from_files(workers, options) for workers in (1, 2)]
    return (
        format_table(HEADER, rows)
        + "\n\n"
        + format_table(SHARE_HEADER, [measure_loading_share(*item, options) for item in run_all_races(options).items()])
    )


def iter_gantry_batches(
    split: Split, options: BenchmarkOptions, flip: bool = True, batches: int = 1, batch: int = LOADER_BATCH
) -> Iterator[Any]:
    order = InfiniteSampler(n=len(split), seed=0, batch_size=batch, batches_per_turn=batches, flip=flip)
    return split.iter_turns(order, 0, options.device)


def iter_endlessly(loader: DataLoader) -> Iterator[Any]:
    while True:
        yield from loader


def make_take(batches: Iterator[Any], n: int) -> Callable[[], object]:
    """The work of taking the next n batches."""
    return lambda: [None for _ in islice(batches, n)]


def measure_loaders(
    name: str, works: dict[str, Callable[[], object]], images: int, options: BenchmarkOptions
) -> list[str]:
    """A row: two loaders in turns, `images` at a time."""
    times = measure_interleaved(works, options.rounds, options.device)
    mine, theirs = (values for values in times.values())
    rates = [f"{images / median(values):,.0f}" for values in (mine, theirs)]
    return [name, *rates, format_ratio(theirs, mine)]


def measure_in_memory(name: str, shape: tuple[int, ...], options: BenchmarkOptions) -> list[str]:
    """Random crops of nothing: shuffled, mirrored, as floats in [-1, 1] on the device."""
    split, n = NoiseSource(shape, options.full_or_toy(20_000, 200)).load().train, options.full_or_toy(100, 2)

    def collate(items: list[tuple[torch.Tensor, ...]]) -> torch.Tensor:
        x = torch.stack([x for x, _ in items])
        return flip_and_scale(x, torch.rand(len(x)) < 0.5).to(options.device)

    theirs = DataLoader(TensorDataset(split.x, split.c), LOADER_BATCH, shuffle=True, drop_last=True, collate_fn=collate)
    works = {"ours": make_take(iter_gantry_batches(split, options), n), "theirs": make_take(iter_endlessly(theirs), n)}
    return measure_loaders(f"{name}, in memory, batches of {LOADER_BATCH}", works, n * LOADER_BATCH, options)


def measure_from_files(workers: int, options: BenchmarkOptions) -> list[str]:
    """PNG files of 3x64x64 that are decoded by workers and reduced to 3x32x32 while they are wanted."""
    count, n = options.full_or_toy(2000, 130), options.full_or_toy(40, 1)
    with tempfile.TemporaryDirectory() as folder:
        write_smooth_images(Path(folder) / "class", count)
        split = (
            ImageFolder(folder, (3, 32, 32), test_share=0, min_images=1, memory_limit=0, workers=workers).load().train
        )
        loader = {"shuffle": True, "drop_last": True, "num_workers": workers, "persistent_workers": True}
        theirs = iter_endlessly(DataLoader(make_image_folder(folder), LOADER_BATCH, **loader))
        mine = iter_gantry_batches(split, options)
        works = {"ours": make_take(mine, n), "theirs": make_take(theirs, n)}
        few = replace(options, rounds=min(5, options.rounds))
        row = measure_loaders(f"PNG files, workers: {workers}", works, n * LOADER_BATCH, few)
        del mine, theirs, works  # ends their workers
    return row


def make_image_folder(root: str) -> Dataset:
    """torchvision's, with the same transformation."""
    steps = [v2.Resize(32, interpolation=v2.InterpolationMode.LANCZOS), v2.RandomHorizontalFlip()]
    return ImageFolder(
        root, v2.Compose([*steps, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    )


def write_smooth_images(folder: Path, count: int) -> None:
    """Smooth pictures of 64x64."""
    folder.mkdir()
    stream = np.random.default_rng(0)
    for i in range(count):
        small = Image.fromarray(stream.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{i}.png")


def measure_loading_share(name: str, result: dict[str, Any], options: BenchmarkOptions) -> list[str]:
    """Time to load a turn's images from memory, which nothing else can hide, in the time of the turn."""
    split = NoiseSource(tuple(result["shape"])).load().train
    batches = iter_gantry_batches(
        split, options, flip=False, batches=result["images"] // result["batch"], batch=result["batch"]
    )
    n = options.full_or_toy(100, 2)
    spent = median(measure_interleaved({"ours": make_take(batches, n)}, options.rounds, options.device)["ours"]) / n
    return [name, f"{1000 * spent:.3f} ms", f"{spent / median(result['times'][GANTRY]):.2%}"]
