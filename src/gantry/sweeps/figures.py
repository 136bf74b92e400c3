"""Draw the figures of a sweep: the curves of all jobs, and their settings as parallel coordinates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import format_cell
from gantry.compare.run_record import RunRecord
from gantry.figures.curves import CURVE_COLOURS, Curve, add_curve, format_axes, make_figure, save_figure
from gantry.runs.layout import CURVES_FILE, PARALLEL_FILE
from gantry.runs.metrics_csv import Column

FIGURE_HEIGHT = 4.8  # inches
LABEL_BOX = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5}
BEST_SHADE, WORST_SHADE = 0.0, 0.85  # positions on the colour map; lines further up are too light to see


def write_sweep_figures(comparison: Comparison, folder: Path) -> None:
    """Write curves.png and parallel.png, each only if there are values of the deciding score to draw."""
    if any(f"score/{comparison.monitor}" in run.metrics for run in comparison.runs):
        save_figure(plot_sweep_curves(comparison), folder / CURVES_FILE)
    scored = [run for run in comparison.runs if run.get_score("best", comparison.monitor) is not None]
    if len(scored) > 1 and comparison.columns:
        save_figure(plot_parallel_coordinates(comparison, scored), folder / PARALLEL_FILE)


def plot_sweep_curves(comparison: Comparison) -> Figure:
    """Plot the deciding score against the turn: a colour for each setting, a line for each job."""
    figure = make_figure(8.8, FIGURE_HEIGHT)
    axes = figure.add_subplot()
    name, curves, last_turn = f"score/{comparison.monitor}", list[Curve](), 0.0
    for colour, group in zip(CURVE_COLOURS * len(comparison.groups), comparison.groups):
        for i, run in enumerate(run for run in group.runs if name in run.metrics):
            curves.append(Curve(group.label if i == 0 else "", run.metrics[name]))  # one legend entry for each setting
            add_curve(axes, run.metrics["turn"], curves[-1], colour)
            last_turn = max(last_turn, run.metrics["turn"].max())
    format_axes(axes, last_turn, curves)
    axes.set_ylabel(comparison.monitor)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_parallel_coordinates(comparison: Comparison, runs: Sequence[RunRecord]) -> Figure:
    """Plot an axis for each setting and one for the best score, and a line for each job, darker for better scores."""
    figure = make_figure(2.2 + 2.4 * len(comparison.columns), FIGURE_HEIGHT)
    axes = figure.add_subplot()
    indices = [comparison.runs.index(run) for run in runs]
    columns = [[values[i] for i in indices] for values in comparison.columns.values()]
    scores = np.array([run.get_score("best", comparison.monitor) for run in runs], float)
    heights = [plot_axis_values(axes, i, values) for i, values in enumerate(columns)] + [scale_to_unit(scores)]
    last = len(heights) - 1
    for height, score in enumerate((scores.min(), scores.max())):
        axes.text(last + 0.04, height, f"{score:.4g}")
    shades = BEST_SHADE + (WORST_SHADE - BEST_SHADE) * (heights[-1] if comparison.sort_sign > 0 else 1 - heights[-1])
    for line, shade in zip(np.stack(heights, 1), shades):
        axes.plot(range(last + 1), line, color=colormaps["viridis"](shade), lw=1.6, alpha=0.85)
    axes.set_xticks(range(last + 1), [*comparison.columns, f"best {comparison.monitor}"])
    axes.set_yticks([])
    axes.grid(axis="x", color="#888888")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def plot_axis_values(axes: Axes, i: int, values: Sequence[Any]) -> Column:
    """Label axis i with its distinct values, numbers to scale and others evenly; return the heights in [0, 1]."""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    sortable = list(values) if numeric else [format_cell(value) for value in values]
    distinct = sorted(set(sortable))
    heights = scale_to_unit(np.array(distinct, float) if numeric else np.arange(len(distinct), dtype=float))
    for value, height in zip(distinct, heights):
        axes.text(i + 0.03, height, format_cell(value), fontsize=8, va="center", bbox=LABEL_BOX)
    return np.array([heights[distinct.index(value)] for value in sortable])


def scale_to_unit(values: Column) -> Column:
    """Scale numbers linearly to [0, 1]; equal numbers to 0.5."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
