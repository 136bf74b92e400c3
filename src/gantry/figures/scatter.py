"""Draw points of the plane; apart from sample_sheet.py, so that images need no matplotlib."""

from typing import Any

import numpy as np
from matplotlib import color_sequences
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from gantry.figures.garbage import free_cycles

AXIS_LIMIT = 1.15  # all points lie in [-1, 1]
REAL_COLOUR, FAKE_COLOUR = "#d9dbe0", "#1f5fd0"
CLASS_COLOURS = color_sequences["tab10"]


@free_cycles()
def draw_scatter(x: Tensor, c: Tensor | None = None, real: Tensor | None = None) -> NDArray[np.uint8]:
    """x [N, 2], coloured by class, over the real points [M, 2] in grey -> picture uint8 [480, 480, 3]."""
    figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlim=(-AXIS_LIMIT, AXIS_LIMIT), ylim=(-AXIS_LIMIT, AXIS_LIMIT), aspect="equal")
    if real is not None:
        axes.scatter(real[:, 0], real[:, 1], s=40, c=REAL_COLOUR, linewidths=0, label="real")
    colours = FAKE_COLOUR if c is None else [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in c.tolist()]
    axes.scatter(x[:, 0], x[:, 1], s=9, c=colours, alpha=0.7, linewidths=0, label="generated")
    axes.set_xticks((-1, 0, 1))
    axes.set_yticks((-1, 0, 1))
    if real is not None and c is None:
        axes.legend(loc="upper right", framealpha=0.9, markerscale=1.5)
    canvas: Any = FigureCanvasAgg(figure)  # whose methods have no types
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
