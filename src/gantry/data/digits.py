"""The handwritten digits of scikit-learn, and images of three stacked digits."""

from dataclasses import dataclass

import numpy as np
import torch

from gantry.data.images import DataSource, InMemoryImages, RealData, Split

_NUM_TEST_IMAGES = 360


@dataclass(frozen=True)
class Digits(DataSource):
    """1,797 real 8x8 digits in 17 levels of grey (Alpaydin and Kaynak 1998), 360 of them held out; no download."""

    def load(self) -> RealData:
        from sklearn.datasets import load_digits  # slow to import, and stacked MNIST does not need it

        digits = load_digits()
        x = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]
        c = torch.from_numpy(digits.target).long()
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
        train, test = order[:-_NUM_TEST_IMAGES], order[-_NUM_TEST_IMAGES:]
        classes = tuple(str(name) for name in digits.target_names)
        return RealData("digits", InMemoryImages(x[train], c[train]), InMemoryImages(x[test], c[test]), classes)


@dataclass(frozen=True)
class StackedDigits(DataSource):
    """Stacked digits (Metz et al. 2017, section 3.3.1): a digit in each channel, 1,000 modes to count.

    `digits` is a source of grey digits; `train` and `test` are the numbers of images made from its splits.
    """

    digits: DataSource
    train: int
    test: int

    def load(self) -> RealData:
        digits = self.digits.load()
        assert digits.shape[0] == 1
        assert digits.num_classes == 10
        train, test = stack_digits(digits.train, self.train, seed=1), stack_digits(digits.test, self.test, seed=2)
        return RealData(f"stacked_{digits.name}", train, test, tuple(f"{c:03d}" for c in range(1000)))


def stack_digits(digits: Split, n: int, seed: int) -> InMemoryImages:
    """Draw n triples of grey digits with replacement -> x [n, 3, H, W], c = 100 a + 10 b + c."""
    images = digits.load_range(0, len(digits))
    triples = torch.from_numpy(np.random.default_rng(seed).integers(len(images), size=(n, 3)))
    x = images.x.index_select(0, triples.flatten())  # [3 n, 1, H, W]
    return InMemoryImages(x.view(n, 3, *images.shape[1:]), images.c[triples] @ torch.tensor([100, 10, 1]))
