"""Sample sheets: one picture of a generator's samples, always of the same latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.errors import format_on_one_line
from gantry.figures.image_grid import MIN_CELL_SIZE, Pixels, add_row_labels, make_image_grid
from gantry.nets.contract import Generator, count_latent_numbers
from gantry.pixels import to_uint8
from gantry.sampling.generate import generate_on_cpu
from gantry.sampling.latents import balanced_labels, sample_latents

NUM_POINTS = 1000  # of one picture

MAX_SHEET_SIDE = 1600  # pixels, roughly
MAX_NAME_LENGTH = 24  # characters of the name of a class


@dataclass(frozen=True)
class SampleSheet:
    """Latents z [N, z_dim + noise_dim] and classes c [N], in `rows` filled column by column or `columns` row by row.

    `class_names` are those of all classes, empty if they are not known.
    """

    z: Tensor
    c: Tensor
    rows: int | None = None
    columns: int | None = None
    class_names: Sequence[str] = ()

    def render(self, G: Generator, device: torch.device | str = "cpu", real: Tensor | None = None) -> Pixels:
        """Return the picture of G's samples: uint8 [H, W, 1 or 3]; points are drawn over real ones [M, 2].

        Rows of images are labelled with their classes.
        """
        x = generate_on_cpu(G, self.z, self.c, device)
        if x.ndim > 2:
            pixels = make_image_grid(to_uint8(x), self.columns, self.rows)
            rows = self.list_classes_of_rows() if G.num_classes else [[]]
            labels = [format_classes(row, self.class_names) for row in rows]
            return add_row_labels(pixels, labels) if all(labels) else pixels
        from gantry.figures.scatter import draw_scatter  # imports matplotlib, which images do not need

        return draw_scatter(x, self.c if G.num_classes else None, real)

    def list_classes_of_rows(self) -> list[list[int]]:
        """Return the classes of the images in each row, from left to right."""
        c = self.c.tolist()
        if self.rows:
            return [c[i :: self.rows] for i in range(self.rows)]
        columns = self.columns or len(c)
        return [c[i : i + columns] for i in range(0, len(c), columns)]


def format_classes(c: Sequence[int], names: Sequence[str] = ()) -> str:
    """Return `class 3` or its name for images of one class, `classes 0 to 7` for consecutive ones, "" for others."""
    if len(set(c)) > 1:
        return f"classes {c[0]} to {c[-1]}" if list(c) == list(range(c[0], c[0] + len(c))) else ""
    if not c:
        return ""
    name = format_on_one_line(names[c[0]], limit=MAX_NAME_LENGTH) if c[0] < len(names) else ""
    return name if name and not name.isdigit() else f"class {c[0]}"


def make_fixed_sheet(G: Generator, seed: int, rows: int, columns: int, class_names: Sequence[str] = ()) -> SampleSheet:
    """Return the sheet that shows G's progress: a row for each class, or for some if there are too many."""
    if len(G.shape) == 1:
        z = sample_latents(seed, 0, NUM_POINTS, count_latent_numbers(G))
        return SampleSheet(z, balanced_labels(0, NUM_POINTS, G.num_classes))
    rows, columns = min(rows, max_images_per_side(G.shape[1])), min(columns, max_images_per_side(G.shape[2]))
    if G.num_classes == 0:
        z = sample_latents(seed, 0, rows * columns, count_latent_numbers(G))
        return SampleSheet(z, torch.zeros(len(z), dtype=torch.int64), columns=columns)
    classes = torch.linspace(0, G.num_classes - 1, min(rows, G.num_classes)).round().long()
    z = sample_latents(seed, 0, len(classes) * columns, count_latent_numbers(G))
    return SampleSheet(z, classes.repeat(columns), rows=len(classes), class_names=class_names)


def max_images_per_side(side: int) -> int:
    """Return the number of images of this side that fit on a sheet, at least one."""
    return max(1, MAX_SHEET_SIDE // max(side, MIN_CELL_SIZE))
