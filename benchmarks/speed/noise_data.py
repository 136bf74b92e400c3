"""Images that are nothing but noise: for speeds, the content is all the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gantry.data.images import DataSource, InMemoryImages, RealData


@dataclass(frozen=True)
class NoiseSource(DataSource):
    """`n` uint8 images of `shape`, or points, in ten classes; nothing held out."""

    shape: Sequence[int]
    n: int = 20_000

    def load(self) -> RealData:
        stream = torch.Generator().manual_seed(0)
        x = torch.randint(256, (self.n, *self.shape), dtype=torch.uint8, generator=stream)
        if len(self.shape) == 1:
            x = x / 127.5 - 1
        c = torch.randint(10, (self.n,), generator=stream)
        return RealData("noise", InMemoryImages(x, c), InMemoryImages(x[:0], c[:0]), tuple("0123456789"))
