"""The handwritten digits that scikit-learn carries with it: no download, no folder."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from gantry.data.images import DataSource, InMemoryImages, RealData

_NUM_TEST_IMAGES = 360


@dataclass(frozen=True)
class Digits(DataSource):
    """1,797 real 8x8 digits in 17 levels of grey (Alpaydin and Kaynak 1998), 360 of them held out."""

    def load(self) -> RealData:
        digits = load_digits()
        x = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]
        c = torch.from_numpy(digits.target).long()
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
        train, test = order[:-_NUM_TEST_IMAGES], order[-_NUM_TEST_IMAGES:]
        classes = tuple(str(name) for name in digits.target_names)
        return RealData("digits", InMemoryImages(x[train], c[train]), InMemoryImages(x[test], c[test]), classes)
