"""The contracts of real images: a source loads a data set, which has a train split, a held-out split and classes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gantry.data.sampler import InfiniteSampler
from gantry.errors import UserError
from gantry.pixels import from_uint8

TurnBatches = tuple[Tensor, Tensor]
"""x float [batches_per_turn, N, *shape] in [-1, 1] and c int64 [batches_per_turn, N], N for this process."""


class Split(Protocol):
    """Labelled real images, in memory (`InMemoryImages`) or on the disk (`gantry.data.image_files.ImageFiles`)."""

    @property
    def c(self) -> Tensor:
        """Return the class ids, int64 [N]; zeros without classes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one image: (C, H, W), or (2,) for points."""

    @property
    def digest(self) -> str:
        """Return a hash of the images, independent of their classes."""

    def __len__(self) -> int: ...

    def load_range(self, start: int, stop: int) -> "InMemoryImages":
        """Load images start to stop - 1 into memory."""

    def drop_labels(self) -> "Split":
        """Return the same images, all of class 0."""

    def iter_turns(self, sampler: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """Yield the batches of turn `start` and of every later turn, on the device."""


def flip_and_scale(x: Tensor, flips: Tensor | None) -> Tensor:
    """Convert x uint8 [..., C, H, W] -> float in [-1, 1], mirrored where flips, bool [...], is True; floats stay."""
    if flips is not None:
        x = torch.where(flips[..., None, None, None], x.flip(-1), x)
    return x if x.is_floating_point() else from_uint8(x)


@dataclass(frozen=True)
class InMemoryImages:
    """A split in CPU memory: x [N, C, H, W] and class ids c int64 [N].

    Pixels are uint8, or float32 in [-1, 1] where they have more than 8 bits; points are float32 [N, 2] in [-1, 1].
    """

    x: Tensor
    c: Tensor

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.c)
        assert self.x.dtype == torch.float32 or (self.x.dtype == torch.uint8 and self.x.ndim == 4)
        assert self.c.dtype == torch.int64

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @cached_property
    def digest(self) -> str:
        sha = hashlib.sha256(str((self.x.dtype, tuple(self.x.shape))).encode())
        sha.update(self.x.contiguous().numpy().data)
        return sha.hexdigest()

    def load_range(self, start: int, stop: int) -> "InMemoryImages":
        return InMemoryImages(self.x[start:stop], self.c[start:stop])

    def drop_labels(self) -> "InMemoryImages":
        return replace(self, c=torch.zeros_like(self.c))

    def iter_turns(self, sampler: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """Move the whole split to the device once; select, flip and scale the images of each turn there."""
        x, c = self.x.to(device), self.c.to(device)
        for turn in count(start):
            index = sampler.sample_indices(turn, device)
            flat = index.flatten()
            batches = x.index_select(0, flat).view(*index.shape, *self.shape)  # on the CPU 20 times as fast as x[index]
            yield flip_and_scale(batches, sampler.sample_flips(turn, device)), c.index_select(0, flat).view_as(index)


@dataclass(frozen=True)
class RealData:
    """A data set: the train split, the held-out test split, and the names of the classes, empty without labels."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.train):
            raise UserError(f"data must leave at least one image to train on, got none in {self.name}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.train.shape

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def get_split(self, name: str) -> Split:
        """Return the split "train" or "test"; raises UserError for any other name and for an empty split."""
        splits = {"train": self.train, "test": self.test}
        if not len(splits.get(name, ())):
            choices = " or ".join(name for name, split in splits.items() if len(split))
            raise UserError(f"split must be {choices}, where {self.name} has images, got {name!r}")
        return splits[name]

    def get_digest(self, split: str) -> str:
        """Return the hash of a split."""
        return self.get_split(split).digest

    def drop_labels(self) -> "RealData":
        """Return the same images without labels."""
        return replace(self, train=self.train.drop_labels(), test=self.test.drop_labels(), classes=())


@runtime_checkable
class DataSource(Protocol):
    """A source of real images: the interface that a new kind of data set implements."""

    def load(self) -> RealData:
        """Read the data set; every process of a run calls this, at about the same time."""
