"""Self-attention over the pixels of a feature map (SAGAN, Zhang et al. 2019, section 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """x [N, F, H, W] -> x + sigma o(x), where sigma is 0 at the start, so that the layer begins as the identity.

    o is eq. 2 with queries and keys of F / 8 features and values of F / 2, all by 1x1 convolutions without bias. As in
    the authors' code, and not in the paper, keys and values are max-pooled 2x2.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        narrow, half = max(1, features // 8), max(1, features // 2)
        self.query = nn.Conv2d(features, narrow, 1, bias=False)
        self.key = nn.Conv2d(features, narrow, 1, bias=False)
        self.value = nn.Conv2d(features, half, 1, bias=False)
        self.output = nn.Conv2d(half, features, 1, bias=False)
        self.sigma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [N, F / 8, HW]
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # [N, F / 8, HW / 4]
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # [N, F / 2, HW / 4]
        # written out: the fused attention of torch cannot be differentiated twice, as penalties do
        weights = (query.mT @ key).softmax(2)  # [N, HW, HW / 4]
        o = (value @ weights.mT).unflatten(2, x.shape[2:])
        return x + self.sigma * self.output(o)


def find_attended_block(key: str, side: int | None, sides: Sequence[int]) -> int | None:
    """Return the index of the first block whose images have this side, given those of all blocks; None for None.

    Of an image that is not square the shorter side counts. Raises ValueError, with the key, if no block has the side.
    """
    if side is not None and side not in sides:
        choices = ", ".join(str(s) for s in sorted(set(sides)))
        raise ValueError(f"{key} must be null or a side of the images between the blocks, {choices}, got {side}")
    return None if side is None else sides.index(side)
