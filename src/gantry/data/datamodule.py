"""The Lightning data module, the same for every data set: the `source` argument reads the images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from gantry.data.images import DataSource, RealData, Split, TurnBatches
from gantry.data.sampler import InfiniteSampler
from gantry.errors import UserError


@dataclass(frozen=True)
class TurnLoader:
    """An endless loader of turns; every iteration begins at the turn that `get_start_turn()` returns."""

    split: Split
    index_sampler: InfiniteSampler
    get_start_turn: Callable[[], int]
    device: torch.device

    def __iter__(self) -> Iterator[TurnBatches]:
        return self.split.iter_turns(self.index_sampler, self.get_start_turn(), self.device)


class DataModule(LightningDataModule):
    """Real images for training and for metrics.

    `name`, `shape` and `num_classes` are in the configuration because the nets are built from them before
    any image is read; they are checked against the images of the source. `num_classes=0` ignores the labels.
    `small_net` names the shipped network that scores such images. `batch_size` is the number of real images
    of one update of D, over all processes; `batches_per_turn` is the number of such batches in a turn. `flip`
    mirrors each image with probability one half. `limit` keeps only the first so many training images.

    Raises ValueError, naming the key, for an invalid value, and when the images are read UserError for one that they
    contradict.
    """

    name: str

    def __init__(
        self,
        source: DataSource,
        name: str,
        shape: Sequence[int],
        num_classes: int,
        small_net: str | None,
        batch_size: int,
        flip: bool,
        *,
        batches_per_turn: int,
        seed: int,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.source, self.name, self.shape = source, name, tuple(shape)
        self.num_classes, self.small_net = num_classes, small_net
        self.batch_size, self.flip = batch_size, flip
        self.batches_per_turn, self.seed, self.limit = batches_per_turn, seed, limit
        self._check_arguments()

    def _check_arguments(self) -> None:
        points = self.shape == (2,)
        if not points and (len(self.shape) != 3 or min(self.shape) < 1):
            raise ValueError(f"data.shape must be [channels, height, width] or [2], got {list(self.shape)}")
        if self.num_classes < 0:
            raise ValueError(f"data.num_classes must be 0 or more, got {self.num_classes}")
        if self.batch_size < 1:
            raise ValueError(f"data.batch_size must be 1 or more, got {self.batch_size}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"data.limit must be 1 or more or null, got {self.limit}")
        if self.flip and points:
            raise ValueError("data.flip must be false for points, got true")

    def setup(self, stage: str = "fit") -> None:
        """Read the images, whatever the stage."""
        _ = self.data, stage

    @cached_property
    def data(self) -> RealData:
        """Read the data set at first use."""
        data = replace(self.source.load(), name=self.name)
        if data.shape != self.shape:
            rule = f"{list(data.shape)}, the shape of the images of {self.name}"
            raise UserError(f"data.shape must be {rule}, got {list(self.shape)}")
        if self.num_classes not in (0, data.num_classes):
            choices = f"{data.num_classes}, the classes of {self.name}, or 0" if data.classes else "0"
            raise UserError(f"data.num_classes must be {choices}, got {self.num_classes}")
        if self.limit is not None:
            data = replace(data, train=data.train.load_range(0, min(self.limit, len(data.train))))
        return data if self.num_classes else data.drop_labels()

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes; empty without labels."""
        return self.data.classes

    @property
    def class_shares(self) -> Tensor:
        """Return the share of each class among the training images: -> [num_classes]."""
        c = self.data.train.c
        return torch.bincount(c, minlength=self.num_classes) / len(c)

    def get_reference_split(self, split: str) -> Split:
        """Return the real images that metrics compare with: `split` is "train" or "test"."""
        return self.data.get_split(split)

    def train_dataloader(self) -> TurnLoader:
        trainer = self.trainer
        assert trainer is not None, "the loader needs a trainer for its rank and start turn"
        index_sampler = InfiniteSampler(
            n=len(self.data.train),
            seed=self.seed,
            batch_size=self.batch_size,
            batches_per_turn=self.batches_per_turn,
            flip=self.flip,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return TurnLoader(self.data.train, index_sampler, lambda: trainer.global_step, trainer.strategy.root_device)
