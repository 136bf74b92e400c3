"""Nearest neighbours in features, block by block: memory does not grow with the square of the samples.

Float32 products select the few candidate pairs; their distances are then computed in float64 from the features. So
equal features are at distance 0, equal distances compare equal, and d(x, y) = d(y, x). Rows for which rounding may have
left out a nearer one, as in clusters that are tight beside the distance between them, are searched again in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

DISTANCE_BLOCK_ROWS = 1024  # rows of either set at a time: a block of distances takes 4 MB
EXACT_CHUNK_PAIRS = 64  # pairs at a time in float64, which stay in the CPU's cache
EXTRA_CANDIDATES = 2  # more candidates than neighbours, for those that float32 puts in the wrong order
FLOAT32_RELATIVE_ERROR = 1e-5  # of |x|^2 + |y|^2; ten times the measured error at 2,048 features


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of features minus an origin near their mean: smaller products, smaller cancellation."""

    start: int
    rows: Tensor  # float32 [n, F]
    squared_norms: Tensor  # [n], their squared lengths

    @property
    def row_slice(self) -> slice:
        """The position of the rows among all features."""
        return slice(self.start, self.start + len(self.rows))


def iter_row_blocks(x: Tensor, origin: Tensor, first: int = 0) -> Iterator[RowBlock]:
    """Yield blocks of features x [N, F] minus `origin` [F], from row `first` on."""
    for start in range(first, len(x), DISTANCE_BLOCK_ROWS):
        rows = x[start : start + DISTANCE_BLOCK_ROWS] - origin
        yield RowBlock(start, rows, rows.square().sum(1))


def expand_squared_distances(x: RowBlock, y: RowBlock) -> Tensor:
    """|x_i - y_j|^2 [n, m] in the precision of the rows; about 0 it can be negative."""
    return torch.addmm(y.squared_norms, x.rows, y.rows.T, alpha=-2).add_(x.squared_norms[:, None])


def exact_squared_distances(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """|x_i - y_j|^2 for pairs of rows i [P], j [P] of features [N, F] and [M, F]: float64 [P]."""
    squared = torch.empty(len(i), dtype=torch.float64, device=x.device)
    for start in range(0, len(i), EXACT_CHUNK_PAIRS):
        part = slice(start, start + EXACT_CHUNK_PAIRS)
        squared[part] = (x[i[part]].double() - y[j[part]].double()).square_().sum(1)
    return squared


@dataclass(frozen=True)
class NearestCandidates:
    """The K smallest distances so far from each of N rows, and the rows that they lead to."""

    squared_distances: Tensor  # float32 [N, K], rising
    indices: Tensor  # int64 [N, K]

    @classmethod
    def empty(cls, like: Tensor, count: int) -> Self:
        """Return candidates at infinite distance, for features [N, F]."""
        shape = len(like), count
        return cls(like.new_full(shape, torch.inf), like.new_zeros(shape, dtype=torch.int64))

    def update(self, x: RowBlock, y: RowBlock, squared: Tensor) -> None:
        """Add the distances [n, m] from the rows of x to those of y."""
        nearest, index = squared.topk(min(self.squared_distances.shape[1], squared.shape[1]), largest=False)
        both = torch.cat([self.squared_distances[x.row_slice], nearest], 1)
        indices = torch.cat([self.indices[x.row_slice], index + y.start], 1)
        self.squared_distances[x.row_slice], order = both.topk(self.squared_distances.shape[1], largest=False)
        self.indices[x.row_slice] = indices.gather(1, order)

    def select_nearest(self, x: Tensor, y: Tensor, k: int, i: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the k nearest of them by their exact distances: squared, float64 [N, k], rising; int64 [N, k].

        `i` are the N rows of x that the candidates are of; None: all.
        """
        i = torch.arange(len(x), device=x.device) if i is None else i
        i = i.repeat_interleave(self.indices.shape[1])
        squared = exact_squared_distances(x, y, i, self.indices.flatten()).view(self.indices.shape)
        squared, order = squared.sort(1)
        return squared[:, :k], self.indices.gather(1, order)[:, :k]


def find_k_nearest(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k <= M rows of y [M, F] that are nearest to each row of x [N, F], the nearest first:
    their squared distances, float64 [N, k], and their indices, int64 [N, k]."""
    origin = y.mean(0)
    candidates = NearestCandidates.empty(x, min(k + EXTRA_CANDIDATES, len(y)))
    for a in iter_row_blocks(x, origin):
        for b in iter_row_blocks(y, origin):
            candidates.update(a, b, expand_squared_distances(a, b))
    return search_doubtful_rows(candidates, candidates.select_nearest(x, y, k), x, y)


def find_k_nearest_others(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k < N other rows of x [N, F] that are nearest to each row, like `find_k_nearest`, with half the work,
    since every distance serves both of its rows."""
    origin = x.mean(0)
    candidates = NearestCandidates.empty(x, min(k + EXTRA_CANDIDATES, len(x) - 1))
    for a in iter_row_blocks(x, origin):
        for b in iter_row_blocks(x, origin, a.start):
            squared = expand_squared_distances(a, b)
            if a.start == b.start:
                squared.fill_diagonal_(torch.inf)
            else:
                candidates.update(b, a, squared.T.contiguous())
            candidates.update(a, b, squared)
    return search_doubtful_rows(candidates, candidates.select_nearest(x, x, k), x, x, others=True)


def search_doubtful_rows(
    candidates: NearestCandidates, nearest: tuple[Tensor, Tensor], x: Tensor, y: Tensor, others: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the nearest rows, those of doubtful rows by a search in float64; with `others` a row is not its own."""
    doubtful = find_doubtful_rows(candidates, nearest[0], x, y, others)
    if not len(doubtful):
        return nearest
    origin, (squared, index) = y.mean(0).double(), nearest
    again = NearestCandidates.empty(squared[doubtful], candidates.indices.shape[1])
    for part in torch.split(torch.arange(len(doubtful), device=x.device), DISTANCE_BLOCK_ROWS):
        own = doubtful[part]
        rows = x[own].double() - origin
        a = RowBlock(int(part[0]), rows, rows.square().sum(1))
        for b in iter_row_blocks(y, origin):
            table = expand_squared_distances(a, b)
            if others:
                table[own[:, None] == torch.arange(b.start, b.start + len(b.rows), device=x.device)] = torch.inf
            again.update(a, b, table)
    squared[doubtful], index[doubtful] = again.select_nearest(x, y, squared.shape[1], doubtful)
    return squared, index


def find_doubtful_rows(candidates: NearestCandidates, squared: Tensor, x: Tensor, y: Tensor, others: bool) -> Tensor:
    """Return the rows that rounding may have left a nearer row out of the candidates of: int64 [P].

    All that were left out are at least as far, in float32, as the last candidate. `squared` [N, k] are exact.
    """
    if candidates.indices.shape[1] == len(y) - others:  # none was left out
        return squared.new_empty(0, dtype=torch.int64)
    origin = y.mean(0)
    largest = max(float(b.squared_norms.max()) for b in iter_row_blocks(y, origin))
    norms = torch.cat([a.squared_norms for a in iter_row_blocks(x, origin)])
    safe = candidates.squared_distances[:, -1].double() - FLOAT32_RELATIVE_ERROR * (norms.double() + largest)
    return ((squared[:, -1] > safe) & (squared[:, -1] > 0)).nonzero().flatten()


def find_nearest_neighbours(samples: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest row of training [M, F] to each of samples [N, F]: its distance, float64 [N], and index,
    int64 [N]; of equally near ones any. Beside the features it needs about 100 MB, whatever N and M."""
    squared, index = find_k_nearest(samples, training, 1)
    return squared[:, 0].sqrt(), index[:, 0]


@dataclass(frozen=True)
class RowPairs:
    """Pairs of rows i [P] of one set and j [P] of another: squared distances [P] and the largest error of these."""

    i: Tensor
    j: Tensor
    squared_distances: Tensor
    error_bounds: Tensor


def iter_pairs_within(x: Tensor, y: Tensor, reach_x: Tensor, reach_y: Tensor) -> Iterator[RowPairs]:
    """Yield all pairs of rows of x [N, F] and y [M, F] with |x_i - y_j|^2 at most reach_x[i] or at most reach_y[j],
    and some that are slightly farther: float32 distances as float64."""
    origin = y.mean(0)
    for a in iter_row_blocks(x, origin):
        for b in iter_row_blocks(y, origin):
            squared = expand_squared_distances(a, b)
            limit_x = (
                reach_x[a.row_slice] + FLOAT32_RELATIVE_ERROR * (a.squared_norms + b.squared_norms.max())
            ).float()
            limit_y = (
                reach_y[b.row_slice] + FLOAT32_RELATIVE_ERROR * (b.squared_norms + a.squared_norms.max())
            ).float()
            i, j = ((squared <= limit_x[:, None]) | (squared <= limit_y)).nonzero(as_tuple=True)
            error = FLOAT32_RELATIVE_ERROR * (a.squared_norms[i] + b.squared_norms[j])
            yield RowPairs(i + a.start, j + b.start, squared[i, j].double(), error)
