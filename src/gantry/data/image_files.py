"""Images that worker processes decode during training: for folders that do not fit in memory."""

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gantry.data.collection import ImageCollection
from gantry.data.images import InMemoryImages, TurnBatches, flip_and_scale
from gantry.data.sampler import InfiniteSampler
from gantry.errors import UserError, format_on_one_line, to_printable

log = logging.getLogger(__name__)
_CPU = torch.device("cpu")


@cache
def _warn_unreadable_file(path: str, error: str) -> None:
    log.warning("cannot read %s: %s. Using the next image instead", path, error)


@dataclass(frozen=True)
class ImageFiles(Dataset):
    """Images `index` of a collection, decoded to `shape` by `workers` processes while training continues.

    Pixels are uint8, or with 16 `bits` float32 in [-1, 1].
    """

    collection: ImageCollection
    index: tuple[int, ...]
    c: Tensor
    shape: tuple[int, ...]
    workers: int
    bits: int = 8

    def __len__(self) -> int:
        return len(self.index)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the images."""
        return tuple(self.collection.names[i] for i in self.index)

    @cached_property
    def digest(self) -> str:
        """Hash names, sizes and modification times: reading every byte would take as long as a training epoch."""
        stamps = [(name, *self.collection.get_stamp(i)) for name, i in zip(self.names, self.index)]
        content = (self.shape, stamps) if self.bits == 8 else (self.shape, stamps, self.bits)
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return x [C, H, W] and its class, those of the next image if the file is damaged."""
        for i in (j % len(self) for j in range(index, index + len(self))):
            try:
                x = self.collection.decode(self.index[i], self.shape, self.bits)
                return torch.from_numpy(np.ascontiguousarray(x)), self.c[i]
            except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
                name = self.collection.names[self.index[i]]
                path = to_printable(str(self.collection.path / name))
                _warn_unreadable_file(path, format_on_one_line(error, with_type=True))
        where = self.collection.path
        raise UserError(f"data.source.root must be a folder with images, got '{where}' without a readable one")

    def load_range(self, start: int, stop: int) -> InMemoryImages:
        indices = range(len(self))[start:stop]
        dtype = torch.uint8 if self.bits == 8 else torch.float32
        x, c = torch.empty(len(indices), *self.shape, dtype=dtype), self.c[start:stop].clone()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for i, image in enumerate(pool.map(self.__getitem__, indices)):
                x[i], c[i] = image
        return InMemoryImages(x, c)

    def drop_labels(self) -> "ImageFiles":
        return replace(self, c=torch.zeros_like(self.c))

    def iter_turns(self, sampler: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """Decode in workers, several turns ahead; move the uint8 pixels to the device, then flip and scale them."""
        loader: DataLoader = DataLoader(
            self,
            batch_sampler=(sampler.sample_indices(turn, _CPU).flatten().tolist() for turn in count(start)),
            num_workers=min(self.workers, os.cpu_count() or 1),
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # otherwise it would draw from torch's global generator, which the nets use
        )
        for turn, (x, c) in zip(count(start), loader):
            x, c = (part.to(device, non_blocking=True).unflatten(0, (sampler.batches_per_turn, -1)) for part in (x, c))
            yield flip_and_scale(x, sampler.sample_flips(turn, device)), c
