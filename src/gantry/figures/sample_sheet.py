"""Sample sheets: one picture of a generator's samples, always of the same latents."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.figures.image_grid import MIN_CELL_SIZE, Pixels, make_image_grid
from gantry.nets.contract import Generator
from gantry.pixels import to_uint8
from gantry.sampling.generate import generate_on_cpu
from gantry.sampling.latents import balanced_labels, sample_latents

NUM_POINTS = 1000  # of one picture

MAX_SHEET_SIDE = 1600  # pixels, roughly


@dataclass(frozen=True)
class SampleSheet:
    """Latents z [N, z_dim] and classes c [N], in `rows` filled column by column or `columns` row by row."""

    z: Tensor
    c: Tensor
    rows: int | None = None
    columns: int | None = None

    def render(self, G: Generator, device: torch.device | str = "cpu", real: Tensor | None = None) -> Pixels:
        """Return the picture of G's samples: uint8 [H, W, 1 or 3]; points are drawn over real ones [M, 2]."""
        x = generate_on_cpu(G, self.z, self.c, device)
        if x.ndim > 2:
            return make_image_grid(to_uint8(x), self.columns, self.rows)
        from gantry.figures.scatter import draw_scatter  # imports matplotlib, which images do not need

        return draw_scatter(x, self.c if G.num_classes else None, real)


def make_fixed_sheet(G: Generator, seed: int, rows: int, columns: int) -> SampleSheet:
    """Return the sheet that shows G's progress: a row for each class, or for some if there are too many."""
    if len(G.shape) == 1:
        return SampleSheet(sample_latents(seed, 0, NUM_POINTS, G.z_dim), balanced_labels(0, NUM_POINTS, G.num_classes))
    rows, columns = min(rows, max_images_per_side(G.shape[1])), min(columns, max_images_per_side(G.shape[2]))
    if G.num_classes == 0:
        z = sample_latents(seed, 0, rows * columns, G.z_dim)
        return SampleSheet(z, torch.zeros(len(z), dtype=torch.int64), columns=columns)
    classes = torch.linspace(0, G.num_classes - 1, min(rows, G.num_classes)).round().long()
    z = sample_latents(seed, 0, len(classes) * columns, G.z_dim)
    return SampleSheet(z, classes.repeat(columns), rows=len(classes))


def max_images_per_side(side: int) -> int:
    """Return the number of images of this side that fit on a sheet, at least one."""
    return max(1, MAX_SHEET_SIDE // max(side, MIN_CELL_SIZE))
