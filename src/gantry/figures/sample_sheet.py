"""A sheet: samples of a generator that are shown together, always of the same latents."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.figures.image_grid import CELL, Pixels, grid
from gantry.nets.contract import Net
from gantry.pixels import to_uint8
from gantry.sampling.generate import draw
from gantry.sampling.latents import labels, latents

POINTS = 1000  # points of the plane that one picture shows

LARGEST = 1600  # pixels of a sheet's side, roughly


@dataclass(frozen=True)
class Sheet:
    """Latents z [N, z_dim] and classes c [N], in `rows` filled column by column or `columns` row by row."""

    z: Tensor
    c: Tensor
    rows: int | None = None
    columns: int | None = None

    def picture(self, G: Net, device: torch.device | str = "cpu", real: Tensor | None = None) -> Pixels:
        """What G makes of them: uint8 [H, W, 1 or 3]; points of the plane are drawn over real ones [M, 2]."""
        x = draw(G, self.z, self.c, device)
        if x.ndim > 2:
            return grid(to_uint8(x), self.columns, self.rows)
        from gantry.figures.scatter import scatter  # matplotlib, which pictures of images do without

        return scatter(x, self.c if G.num_classes else None, real)


def fixed_sheet(G: Net, seed: int, rows: int, columns: int) -> Sheet:
    """The sheet that shows G's progress: a row for each class, or for some should there be too many."""
    if len(G.shape) == 1:
        return Sheet(latents(seed, 0, POINTS, G.z_dim), labels(0, POINTS, G.num_classes))
    rows, columns = min(rows, room(G.shape[1])), min(columns, room(G.shape[2]))
    if G.num_classes == 0:
        z = latents(seed, 0, rows * columns, G.z_dim)
        return Sheet(z, torch.zeros(len(z), dtype=torch.int64), columns=columns)
    shown = torch.linspace(0, G.num_classes - 1, min(rows, G.num_classes)).round().long()
    z = latents(seed, 0, len(shown) * columns, G.z_dim)
    return Sheet(z, shown.repeat(columns), rows=len(shown))


def room(side: int) -> int:
    """How many images of this side a sheet has room for, one at least."""
    return max(1, LARGEST // max(side, CELL))
