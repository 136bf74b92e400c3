"""Three digits in the three channels of one image: 1,000 modes that a classifier of digits can count."""

from dataclasses import dataclass

import numpy as np
import torch

from gantry.data.images import DataSource, InMemoryImages, RealData, Split


def stack_digits(digits: Split, n: int, seed: int) -> InMemoryImages:
    """n triples of grey digits, drawn with replacement -> x [n, 3, H, W], c = 100 a + 10 b + c."""
    whole = digits.load_range(0, len(digits))
    triples = torch.from_numpy(np.random.default_rng(seed).integers(len(whole), size=(n, 3)))
    x = whole.x.index_select(0, triples.flatten())  # [3 n, 1, H, W]
    return InMemoryImages(x.view(n, 3, *whole.shape[1:]), whole.c[triples] @ torch.tensor([100, 10, 1]))


@dataclass(frozen=True)
class StackedDigits(DataSource):
    """Stacked digits (Metz et al. 2017, section 3.3.1), `train` and `test` from those splits of `digits`."""

    digits: DataSource
    train: int
    test: int

    def load(self) -> RealData:
        digits = self.digits.load()
        assert digits.shape[0] == 1
        assert digits.num_classes == 10
        train, test = stack_digits(digits.train, self.train, seed=1), stack_digits(digits.test, self.test, seed=2)
        return RealData(f"stacked_{digits.name}", train, test, tuple(f"{c:03d}" for c in range(1000)))
