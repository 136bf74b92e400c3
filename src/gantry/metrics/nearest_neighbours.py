"""Nearest neighbours in features, block by block: memory does not grow with the square of the samples.

Float32 products pick the few pairs that matter; their distances are then computed in float64 from the
features themselves. So equal features are at distance 0, equal distances compare equal, and d(x, y) = d(y, x).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

BLOCK = 1024  # rows of either set at a time: a block of distances takes 4 MB
CHUNK = 64  # pairs at a time in float64: what stays in the cache
SPARE = 2  # more candidates than neighbours, for those that float32 puts in the wrong order
ROUNDING = 1e-5  # |float32 - exact| <= ROUNDING (|x|^2 + |y|^2), ten times what is seen at 2,048 features


@dataclass(frozen=True)
class Block:
    """Consecutive rows of features, seen from a point near their middle: products of less cancel less."""

    start: int
    rows: Tensor  # float32 [n, F]
    squares: Tensor  # [n], their squared lengths

    @property
    def slice(self) -> slice:
        """Where the rows stand among all features."""
        return slice(self.start, self.start + len(self.rows))


def blocks(x: Tensor, origin: Tensor, first: int = 0) -> Iterator[Block]:
    """Features x [N, F] from row `first` on, seen from `origin` [F]."""
    for start in range(first, len(x), BLOCK):
        rows = x[start : start + BLOCK] - origin
        yield Block(start, rows, rows.square().sum(1))


def squared_distances(x: Block, y: Block) -> Tensor:
    """|x_i - y_j|^2 [n, m] in float32; about 0 it can be negative."""
    return torch.addmm(y.squares, x.rows, y.rows.T, alpha=-2).add_(x.squares[:, None])


def exact_squared_distances(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """|x_i - y_j|^2 for pairs of rows i [P], j [P] of features [N, F] and [M, F]: float64 [P]."""
    squared = torch.empty(len(i), dtype=torch.float64, device=x.device)
    for start in range(0, len(i), CHUNK):
        part = slice(start, start + CHUNK)
        squared[part] = (x[i[part]].double() - y[j[part]].double()).square_().sum(1)
    return squared


@dataclass(frozen=True)
class Candidates:
    """The K smallest distances seen so far from each of N rows, and to which rows."""

    squared: Tensor  # float32 [N, K], rising
    index: Tensor  # int64 [N, K]

    @classmethod
    def none(cls, like: Tensor, count: int) -> Self:
        """Before anything is seen: infinitely far ones, for features [N, F]."""
        shape = len(like), count
        return cls(like.new_full(shape, torch.inf), like.new_zeros(shape, dtype=torch.int64))

    def take(self, x: Block, y: Block, squared: Tensor) -> None:
        """Take in the distances [n, m] from the rows of x to those of y."""
        nearest, index = squared.topk(min(self.squared.shape[1], squared.shape[1]), largest=False)
        both = torch.cat([self.squared[x.slice], nearest], 1)
        indices = torch.cat([self.index[x.slice], index + y.start], 1)
        self.squared[x.slice], order = both.topk(self.squared.shape[1], largest=False)
        self.index[x.slice] = indices.gather(1, order)

    def settle(self, x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest of them by their exact distances: squared, float64 [N, k], rising; int64 [N, k]."""
        i = torch.arange(len(x), device=x.device).repeat_interleave(self.index.shape[1])
        squared = exact_squared_distances(x, y, i, self.index.flatten()).view(self.index.shape)
        squared, order = squared.sort(1)
        return squared[:, :k], self.index.gather(1, order)[:, :k]


def nearest(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k <= M rows of y [M, F] that are nearest to each row of x [N, F], the nearest first:
    their squared distances, float64 [N, k], and which they are, int64 [N, k]."""
    origin = y.mean(0)
    found = Candidates.none(x, min(k + SPARE, len(y)))
    for a in blocks(x, origin):
        for b in blocks(y, origin):
            found.take(a, b, squared_distances(a, b))
    return found.settle(x, y, k)


def nearest_others(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k < N other rows of x [N, F] that are nearest to each row, like `nearest`; half its work,
    for every distance serves both ends."""
    origin = x.mean(0)
    found = Candidates.none(x, min(k + SPARE, len(x) - 1))
    for a in blocks(x, origin):
        for b in blocks(x, origin, a.start):
            squared = squared_distances(a, b)
            if a.start == b.start:
                squared.fill_diagonal_(torch.inf)
            else:
                found.take(b, a, squared.T.contiguous())
            found.take(a, b, squared)
    return found.settle(x, x, k)


def neighbours(samples: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest row of training [M, F] to each of samples [N, F]: its distance, float64 [N], and index,
    int64 [N]; of equally near ones any. Beside the features it needs about 100 MB, whatever N and M."""
    squared, index = nearest(samples, training, 1)
    return squared[:, 0].sqrt(), index[:, 0]


@dataclass(frozen=True)
class Pairs:
    """Rows i [P] of one set and j [P] of another: their squared distances [P] and the largest error of these."""

    i: Tensor
    j: Tensor
    squared: Tensor
    error: Tensor


def pairs_within(x: Tensor, y: Tensor, reach_x: Tensor, reach_y: Tensor) -> Iterator[Pairs]:
    """All pairs of rows of x [N, F] and y [M, F] with |x_i - y_j|^2 at most reach_x[i] or at most reach_y[j],
    and some that are just farther: float32 distances as float64."""
    origin = y.mean(0)
    for a in blocks(x, origin):
        for b in blocks(y, origin):
            squared = squared_distances(a, b)
            limit_x = (reach_x[a.slice] + ROUNDING * (a.squares + b.squares.max())).float()
            limit_y = (reach_y[b.slice] + ROUNDING * (b.squares + a.squares.max())).float()
            i, j = ((squared <= limit_x[:, None]) | (squared <= limit_y)).nonzero(as_tuple=True)
            error = ROUNDING * (a.squares[i] + b.squares[j])
            yield Pairs(i + a.start, j + b.start, squared[i, j].double(), error)
