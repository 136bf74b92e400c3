"""Images that worker processes decode when they are needed: for folders that do not fit in memory."""

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gantry.data.decoding import decode_image, format_error_with_type
from gantry.data.images import InMemoryImages, TurnBatches, flip_and_scale
from gantry.data.sampler import InfiniteSampler

log = logging.getLogger(__name__)
_CPU = torch.device("cpu")


@cache
def _warn_unreadable_file(path: Path, why: str) -> None:
    log.warning("%s cannot be read, the next image stands in for it (%s)", path, why)


@dataclass(frozen=True)
class ImageFiles(Dataset):
    """Files `names` below `root`, decoded to uint8 `shape` by `workers` processes while training goes on."""

    root: Path
    names: tuple[str, ...]
    c: Tensor
    shape: tuple[int, ...]
    workers: int

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def digest(self) -> str:
        """A hash of names, sizes and times of change: to read every byte would take as long as to train an epoch."""
        found = [(self.root / name).stat() for name in self.names]
        content = (self.shape, [(name, f.st_size, f.st_mtime_ns) for name, f in zip(self.names, found)])
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """x uint8 [C, H, W] and its class; of a file that turns out to be damaged, the next one's."""
        for i in range(index, index + len(self)):
            path = self.root / self.names[i % len(self)]
            try:
                return torch.from_numpy(np.ascontiguousarray(decode_image(path, self.shape))), self.c[i % len(self)]
            except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
                _warn_unreadable_file(path, format_error_with_type(error))
        raise ValueError(f"data.source.root must be a folder with images, got '{self.root}' without a readable one")

    def load_range(self, start: int, stop: int) -> InMemoryImages:
        chosen = range(len(self))[start:stop]
        x, c = torch.empty(len(chosen), *self.shape, dtype=torch.uint8), self.c[start:stop].clone()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for i, image in enumerate(pool.map(self.__getitem__, chosen)):
                x[i], c[i] = image
        return InMemoryImages(x, c)

    def drop_labels(self) -> "ImageFiles":
        return replace(self, c=torch.zeros_like(self.c))

    def iter_turns(self, order: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """Workers decode turns ahead; the bytes travel to the device and are mirrored and scaled there."""
        loader: DataLoader = DataLoader(
            self,
            batch_sampler=(order.sample_indices(turn, _CPU).flatten().tolist() for turn in count(start)),
            num_workers=min(self.workers, os.cpu_count() or 1),
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the generator that the nets draw from
        )
        for turn, (x, c) in zip(count(start), loader):
            x, c = (part.to(device, non_blocking=True).unflatten(0, (order.batches_per_turn, -1)) for part in (x, c))
            yield flip_and_scale(x, order.sample_flips(turn, device)), c
