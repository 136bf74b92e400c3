"""Pictures of a sweep: the curves of all jobs, and their settings as parallel coordinates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import format_cell
from gantry.compare.run_record import RunRecord
from gantry.figures.curves import CURVE_COLOURS, LOG_SCALE_RATIO, MAX_MARKED_POINTS
from gantry.files import atomic_write
from gantry.runs.layout import CURVES_FILE, PARALLEL_FILE
from gantry.runs.metrics_csv import Column

LABEL_BOX = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5}
BEST_SHADE, WORST_SHADE = 0.0, 0.85  # places on the colour map; beyond, lines are too light to see


def write_sweep_figures(comparison: Comparison, folder: Path) -> None:
    """Draw curves.png and parallel.png; nothing without the score that decides."""
    if any(f"score/{comparison.monitor}" in run.metrics for run in comparison.runs):
        save_figure(*plot_sweep_curves(comparison), folder / CURVES_FILE)
    scored = [run for run in comparison.runs if run.get_score("best", comparison.monitor) is not None]
    if len(scored) > 1 and comparison.columns:
        save_figure(*plot_parallel_coordinates(comparison, scored), folder / PARALLEL_FILE)


def save_figure(figure: Figure, axes: Axes, path: Path) -> None:
    """Write a whole picture or nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as part:
        figure.savefig(part, format="png")


def make_figure(width: float) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure = Figure(figsize=(width, 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def plot_sweep_curves(comparison: Comparison) -> tuple[Figure, Axes]:
    """The deciding score against the turn: a colour for each setting, a line for each job."""
    figure, axes = make_figure(8.0)
    name, values = f"score/{comparison.monitor}", list[float]()
    for colour, group in zip(CURVE_COLOURS * len(comparison.groups), comparison.groups):
        label: str | None = group.label
        for run in (run for run in group.runs if name in run.metrics):
            there = np.isfinite(run.metrics[name])
            x, y = run.metrics["turn"][there], run.metrics[name][there]
            axes.plot(
                x, y, color=colour, label=label, lw=1.3, marker="o" if len(x) <= MAX_MARKED_POINTS else None, ms=3
            )
            label, values = None, [*values, *y]
    if values and 0 < LOG_SCALE_RATIO * min(values) < max(values):
        axes.set_yscale("log")
    axes.set(xlabel="turn", ylabel=comparison.monitor)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure, axes


def plot_parallel_coordinates(comparison: Comparison, runs: Sequence[RunRecord]) -> tuple[Figure, Axes]:
    """An axis for each setting and one for the best score; a line for each job, dark where it is good."""
    figure, axes = make_figure(2.0 + 2.2 * len(comparison.columns))
    index = [comparison.runs.index(run) for run in runs]
    score = np.array([run.get_score("best", comparison.monitor) for run in runs], float)
    lines = []
    for i, values in enumerate(comparison.columns.values()):
        lines.append(plot_axis_values(axes, i, [values[j] for j in index]))
    lines.append(scale_to_unit(score))
    last = len(lines) - 1
    axes.text(last + 0.04, 0, f"{score.min():.4g}")
    axes.text(last + 0.04, 1, f"{score.max():.4g}")
    shades = BEST_SHADE + (WORST_SHADE - BEST_SHADE) * (lines[-1] if comparison.sort_sign > 0 else 1 - lines[-1])
    for path, shade in zip(np.stack(lines, 1), shades):
        axes.plot(range(last + 1), path, color=colormaps["viridis"](shade), lw=1.6, alpha=0.85)
    axes.set_xticks(range(last + 1), [*comparison.columns, f"best {comparison.monitor}"])
    axes.set_yticks([])
    axes.grid(axis="x", color="#888888")
    axes.spines["left"].set_visible(False)
    return figure, axes


def plot_axis_values(axes: Axes, i: int, values: Sequence[Any]) -> Column:
    """Where an axis has the values, in [0, 1], with their names: numbers to scale, all else evenly."""
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    own = list(values) if numeric else [format_cell(one) for one in values]
    kinds = sorted(set(own))
    places = scale_to_unit(np.array(kinds, float) if numeric else np.arange(len(kinds), dtype=float))
    for kind, place in zip(kinds, places):
        axes.text(i + 0.03, place, format_cell(kind), fontsize=8, va="center", bbox=LABEL_BOX)
    return np.array([places[kinds.index(one)] for one in own])


def scale_to_unit(values: Column) -> Column:
    """Numbers to [0, 1]; equal ones to the middle."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
