"""Real images as the rest of Gantry sees them: two splits, one of them held out, and the classes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from gantry.data.sampler import InfiniteSampler
from gantry.pixels import from_uint8

TurnBatches = tuple[Tensor, Tensor]
"""x float [batches_per_turn, N, *shape] in [-1, 1] and c int64 [batches_per_turn, N], N for this process."""


class Split(Protocol):
    """Labelled real images, in memory (`Images`) or on the disk (`gantry.data.image_files.ImageFiles`)."""

    @property
    def c(self) -> Tensor:
        """Class ids, int64 [N]; zeros where there are no classes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (C, H, W), or (2,) for points."""

    @property
    def digest(self) -> str:
        """A hash of the images, whatever their classes."""

    def __len__(self) -> int: ...

    def load_range(self, start: int, stop: int) -> "InMemoryImages":
        """Images start to stop - 1, in memory."""

    def drop_labels(self) -> "Split":
        """The same images, all of class 0."""

    def iter_turns(self, order: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """The batches of turn `start` and of all that follow, on the device."""


def flip_and_scale(x: Tensor, flips: Tensor | None) -> Tensor:
    """x uint8 [..., C, H, W], flips bool [...] -> float in [-1, 1], mirrored where told; points stay."""
    if flips is not None:
        x = torch.where(flips[..., None, None, None], x.flip(-1), x)
    return x if x.is_floating_point() else from_uint8(x)


@dataclass(frozen=True)
class InMemoryImages:
    """x uint8 [N, C, H, W] (or points: float32 [N, 2] in [-1, 1]) and class ids c int64 [N], on the CPU."""

    x: Tensor
    c: Tensor

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.c)
        assert self.x.dtype == (torch.float32 if self.x.ndim == 2 else torch.uint8)
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

    def iter_turns(self, order: InfiniteSampler, start: int, device: torch.device) -> Iterator[TurnBatches]:
        """The whole set moves to the device once; there it is picked from, mirrored and scaled."""
        x, c = self.x.to(device), self.c.to(device)
        for turn in count(start):
            index = order.sample_indices(turn, device)
            flat = index.flatten()
            picked = x.index_select(0, flat).view(*index.shape, *self.shape)  # on the CPU 20 times as fast as x[index]
            yield flip_and_scale(picked, order.sample_flips(turn, device)), c.index_select(0, flat).view_as(index)


@dataclass(frozen=True)
class RealData:
    """A data set: what D is trained on and what is held out. `classes` is empty where there are no labels."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.train):
            raise ValueError(f"data must leave at least one image to train on, got none in {self.name}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.train.shape

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def get_split(self, name: str) -> Split:
        """The split named "train" or "test"; ValueError for another name and for one that is empty."""
        splits = {"train": self.train, "test": self.test}
        if not len(splits.get(name, ())):
            choices = " or ".join(name for name, split in splits.items() if len(split))
            raise ValueError(f"split must be {choices}, where {self.name} has images, got {name!r}")
        return splits[name]

    def get_digest(self, split: str) -> str:
        """A hash of the content of a split."""
        return self.get_split(split).digest

    def drop_labels(self) -> "RealData":
        """The same images without their labels."""
        return replace(self, train=self.train.drop_labels(), test=self.test.drop_labels(), classes=())


class DataSource(Protocol):
    """Where real images come from. What a new kind of data set implements."""

    def load(self) -> RealData:
        """Read the data set. Every process of a run calls it, at about the same time."""
