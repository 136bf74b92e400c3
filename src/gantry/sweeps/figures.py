"""Draw the figures of a sweep: the curves of all jobs, and their settings as parallel coordinates."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep
from hydra.errors import HydraException
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogLocator, MaxNLocator

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import format_cell
from gantry.compare.run_record import RunRecord
from gantry.errors import UserError
from gantry.figures.curves import Curve, add_curve, curve_style, format_axes, make_figure, save_figure
from gantry.figures.garbage import free_cycles
from gantry.runs.layout import CURVES_FILE, PARALLEL_FILE, STUDY_FILE
from gantry.runs.metrics_csv import Column
from gantry.runs.stored_values import read_json
from gantry.values import is_log_spaced

FIGURE_HEIGHT = 4.8  # inches
LABEL_BOX = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5}
MAX_LABELS = 8  # numbers on an axis, up to which each has its label
MAX_NAMED_SETTINGS = 20  # in the legend: the best ones
MAX_LEGEND_LENGTH = 72  # characters
OTHER_COLOUR = "#b8bdc6"
MAX_KEY_LINE = 18  # characters
BEST_SHADE, WORST_SHADE = 0.0, 0.85  # positions on the colour map; lines further up are too light to see


@free_cycles()
def write_sweep_figures(comparison: Comparison, folder: Path) -> None:
    """Write curves.png and parallel.png, each only if there are values of the deciding score to draw."""
    if any(f"score/{comparison.monitor}" in run.metrics for run in comparison.runs):
        save_figure(plot_sweep_curves(comparison), folder / CURVES_FILE)
    scored = [run for run in comparison.runs if run.get_score("best", comparison.monitor) is not None]
    if len(scored) > 1 and comparison.columns:
        save_figure(plot_parallel_coordinates(comparison, scored, read_log_keys(folder)), folder / PARALLEL_FILE)


def read_log_keys(folder: Path) -> dict[str, bool]:
    """Return which intervals of a search are on a log scale; {} for a sweep without a search."""
    try:
        space = read_json(folder / STUDY_FILE)["space"].items() if (folder / STUDY_FILE).is_file() else ()
    except (UserError, LookupError, AttributeError, TypeError):  # the figures do without
        return {}
    sweeps = {key: parse_sweep(f"{key}={text}") for key, text in space}
    return {key: "log" in sweep.tags for key, sweep in sweeps.items() if sweep is not None}


def parse_sweep(override: str) -> IntervalSweep | RangeSweep | None:
    """Return the numbers that an override of a search stands for; None for choices and for what cannot be read."""
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        return None
    return value if isinstance(value, IntervalSweep | RangeSweep) else None


def plot_sweep_curves(comparison: Comparison) -> Figure:
    """Plot the deciding score against the turn: a colour and style for each setting, a line for each job.

    Of many settings the best have colours, and the others are grey.
    """
    figure = make_figure(9.6, FIGURE_HEIGHT)
    axes = figure.add_subplot()
    name, curves, last_turn = f"score/{comparison.monitor}", list[Curve](), 0.0
    groups = [group for group in comparison.ranked_first if any(name in run.metrics for run in group.runs)]
    names = [group.label[:MAX_LEGEND_LENGTH] for group in groups[:MAX_NAMED_SETTINGS]]
    names += [f"{len(groups) - MAX_NAMED_SETTINGS} others"] * (len(groups) > MAX_NAMED_SETTINGS)
    for k, group in reversed(list(enumerate(groups))):  # the best last, on top of the others
        style = curve_style(k) if k < MAX_NAMED_SETTINGS else (OTHER_COLOUR, "-")
        for i, run in enumerate(run for run in group.runs if name in run.metrics):
            label = names[k] if i == 0 and k < len(names) else ""  # one legend entry for each setting
            curves.append(Curve(label, run.metrics[name]))
            add_curve(axes, run.metrics["turn"], curves[-1], *style)
            last_turn = max(last_turn, run.metrics["turn"].max())
    format_axes(axes, last_turn, curves)
    axes.set_ylabel(comparison.monitor)
    lines, labels = axes.get_legend_handles_labels()
    legend = axes.legend(lines[::-1], labels[::-1], fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    legend.set_title("best first", FontProperties(size=7))
    return figure


def plot_parallel_coordinates(
    comparison: Comparison, runs: Sequence[RunRecord], log_keys: Mapping[str, bool]
) -> Figure:
    """Plot an axis for each setting and one for the best score, and a line for each job, darker for better scores."""
    figure = make_figure(2.2 + 2.4 * len(comparison.columns), FIGURE_HEIGHT)
    axes = figure.add_subplot()
    indices = [comparison.runs.index(run) for run in runs]
    columns: dict[str, list[Any]] = {key: [values[i] for i in indices] for key, values in comparison.columns.items()}
    columns[f"best {comparison.monitor}"] = [run.get_score("best", comparison.monitor) for run in runs]
    places = [plot_axis_values(axes, i, values, log_keys.get(key)) for i, (key, values) in enumerate(columns.items())]
    heights, logs = [height for height, _ in places], [log for _, log in places]
    last = len(heights) - 1
    shades = BEST_SHADE + (WORST_SHADE - BEST_SHADE) * (heights[-1] if comparison.sort_sign > 0 else 1 - heights[-1])
    for i in np.argsort(-shades):  # the best on top
        line = [height[i] for height in heights]
        axes.plot(range(last + 1), line, color=colormaps["viridis"](shades[i]), lw=1.6, alpha=0.85)
    names = [f"{wrap_key(key)}\n(log scale)" if log else wrap_key(key) for key, log in zip(columns, logs)]
    axes.set_xticks(range(last + 1), names)
    axes.set_xlim(-0.1, last + 0.4)
    axes.set_yticks([])
    axes.grid(axis="x", color="#888888")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def plot_axis_values(axes: Axes, i: int, values: Sequence[Any], log: bool | None = None) -> tuple[Column, bool]:
    """Label axis i, numbers to scale and others evenly; return the heights in [0, 1] and True for a log scale.

    `log` None chooses the scale by the spacing of the numbers.
    """
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        texts = [format_cell(value) for value in values]
        names = sorted(set(texts))
        heights = scale_to_unit(np.arange(len(names), dtype=float))
        plot_axis_labels(axes, i, names, heights)
        return np.array([heights[names.index(text)] for text in texts]), False
    numbers = np.array(values, float)
    positive = numbers.min() > 0
    log = positive and (is_log_spaced(sorted(set(numbers.tolist()))) if log is None else log)
    ticks = np.array(list_axis_ticks(numbers, log))
    scaled = scale_to_unit(np.log(np.concatenate([numbers, ticks])) if log else np.concatenate([numbers, ticks]))
    plot_axis_labels(axes, i, [f"{tick:.4g}" for tick in ticks], scaled[len(numbers) :])
    return scaled[: len(numbers)], log


def list_axis_ticks(numbers: Column, log: bool) -> list[float]:
    """Return the numbers themselves if there are few, else round ones between the smallest and the largest."""
    distinct = sorted(set(numbers.tolist()))
    if len(distinct) <= MAX_LABELS:
        return distinct
    locator = LogLocator(numticks=MAX_LABELS) if log else MaxNLocator(MAX_LABELS - 2)
    low, high = distinct[0], distinct[-1]
    inner = [tick for tick in locator.tick_values(low, high) if low < tick < high]
    return [low, *inner, high]


def plot_axis_labels(axes: Axes, i: int, labels: Sequence[str], heights: Column) -> None:
    """Write labels beside axis i; one that would lie on another is left out, but for the first and the last."""
    gap, last = 0.035, len(heights) - 1
    ticks = [0]
    for k in range(1, last):
        if heights[k] - heights[ticks[-1]] >= gap and heights[last] - heights[k] >= gap:
            ticks.append(k)
    for k in dict.fromkeys([*ticks, last]):
        axes.text(i + 0.03, heights[k], labels[k], fontsize=8, va="center", bbox=LABEL_BOX)


def wrap_key(key: str) -> str:
    """Return a key with line breaks after dots, so that keys side by side do not overlap."""
    lines = [""]
    for part in re.split(r"(?<=[. _])", key):
        lines += [""] * (len(lines[-1]) + len(part) > MAX_KEY_LINE and lines[-1] != "")
        lines[-1] += part
    return "\n".join(lines)


def scale_to_unit(values: Column) -> Column:
    """Scale numbers linearly to [0, 1]; equal numbers to 0.5."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
