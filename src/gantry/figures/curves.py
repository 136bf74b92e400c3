"""Plot the curves of a run; no display is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from gantry.figures.garbage import free_cycles
from gantry.files import atomic_write

Column = NDArray[np.float64]
LOG_SCALE_RATIO = 20.0  # a positive curve whose largest value is so many times its smallest is drawn on a log scale,
SPARSE_TICKS_RATIO = 1000.0  # and with fewer ticks from here on
MAX_MARKED_POINTS = 25  # so few points are marked one by one
PANEL_TITLES = {"terms": "terms of the losses, unweighted", "logits": "mean logits", "grad": "gradient norms"}
OMITTED_COLUMNS = ("speed/seconds", "memory/")  # an axis, as turn and kimg are; and memory hardly changes
BEST_COLOUR = "#15803d"
CURVE_COLOURS = (
    "#1f5fd0",
    "#d9541e",
    "#2a9d5c",
    "#8a4fc7",
    "#b8860b",
    "#5b6470",
    "#d6457f",
    "#1fa3a8",
    "#8d6e4f",
    "#14213d",
)
LINE_STYLES = ("-", "--", ":", "-.")  # the next one where the colours are used up


@dataclass(frozen=True)
class Curve:
    """A column of metrics.csv, NaN where it has no value, and its standard deviation if there is one."""

    label: str
    values: Column
    std: Column | None = None


@free_cycles()
def write_curves(metrics: Mapping[str, Column], path: Path, best_turn: int | None = None) -> None:
    """Plot the columns of metrics.csv against turn and kimg: related ones in one panel, each score in its own.

    Each score is marked at `best_turn`, that of the best checkpoint.
    """
    panels = arrange_panels(metrics)
    if not panels:
        return
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    figure = make_figure(5.4 * columns, 3.0 * rows + 0.3)
    for i, (title, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        draw_panel(axes, title, metrics["turn"], curves)
        if best_turn is not None and f"score/{curves[0].label}" in metrics:
            mark_best(axes, metrics["turn"], curves[0], best_turn)
        if i < columns:
            add_kimg_axis(axes, metrics)
    save_figure(figure, path)


def make_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches that needs no display."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, completely or not at all."""
    with atomic_write(path) as part:
        figure.savefig(part, format="png")


def arrange_panels(metrics: Mapping[str, Column]) -> dict[str, list[Curve]]:
    """Return panels by title: `loss/D` and `loss/G` share one, `loss/D/r1` is a term, `_std` belongs to a score."""
    panels: dict[str, list[Curve]] = {}
    for name in sorted(metrics, key=panel_sort_key):
        group, _, label = name.partition("/")
        if (
            not label
            or name.startswith(OMITTED_COLUMNS)
            or (name.endswith("_std") and name.removesuffix("_std") in metrics)
        ):
            continue
        group = label if group == "score" else "terms" if "/" in label else group
        curve = Curve(label, metrics[name], metrics.get(f"{name}_std"))
        panels.setdefault(PANEL_TITLES.get(group, group.replace("_", " ")), []).append(curve)
    return panels


def panel_sort_key(name: str) -> tuple[int, str]:
    """Return the key that sorts losses first, then scores, then the rest."""
    group = name.partition("/")[0]
    return ("loss", "score", group).index(group), name


def draw_panel(axes: Axes, title: str, turn: Column, curves: list[Curve]) -> None:
    """Draw one panel: curves with their names or, for a single curve, with its last value."""
    for i, curve in enumerate(curves):
        add_curve(axes, turn, curve, *curve_style(i))
    format_axes(axes, turn.max(), curves)
    if len(curves) > 1:
        axes.legend(fontsize=8, frameon=False)
    else:
        title = f"{curves[0].label} (last: {last_value(curves[0]):.4g})"
    axes.set_title(title, fontsize=11)


def format_axes(axes: Axes, last_turn: float, curves: list[Curve]) -> None:
    """Set the axes of a panel: turns from 0 on, and a log scale for positive values of different orders."""
    if (ratio := max_min_ratio(curves)) > LOG_SCALE_RATIO:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < SPARSE_TICKS_RATIO else (1,)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("turn")
    margin = 0.015 * max(last_turn, 1)
    axes.set_xlim(-margin, max(last_turn, 1) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def mark_best(axes: Axes, turn: Column, curve: Curve, best_turn: int) -> None:
    """Mark the value of a score at the turn of the best checkpoint, and name it in the title."""
    rows = np.flatnonzero((turn == best_turn) & np.isfinite(curve.values))
    if not rows.size:
        return
    value = curve.values[rows[-1]]
    axes.axvline(best_turn, color=BEST_COLOUR, lw=1, ls=":")
    axes.plot(best_turn, value, marker="*", ms=13, color=BEST_COLOUR, mec="white", mew=0.8, zorder=3, clip_on=False)
    best = f"best checkpoint: {value:.4g} at turn {best_turn:,}"
    axes.set_title(f"{curve.label} (last: {last_value(curve):.4g})\n★ {best}", fontsize=11)


def curve_style(i: int) -> tuple[str, str]:
    """Return colour and line style of the i-th curve: different ones for 40."""
    return CURVE_COLOURS[i % len(CURVE_COLOURS)], LINE_STYLES[i // len(CURVE_COLOURS) % len(LINE_STYLES)]


def add_curve(axes: Axes, turn: Column, curve: Curve, colour: str, style: str = "-") -> None:
    """Draw a line through the rows that have a value, with a band of one standard deviation on each side."""
    there = np.isfinite(curve.values)
    x, y = turn[there], curve.values[there]
    marker = "o" if len(x) <= MAX_MARKED_POINTS else None
    axes.plot(x, y, color=colour, ls=style, label=curve.label, lw=1.3, marker=marker, ms=3.5)
    if curve.std is not None:
        axes.fill_between(x, y - curve.std[there], y + curve.std[there], color=colour, alpha=0.15, lw=0)


def max_min_ratio(curves: list[Curve]) -> float:
    """Return the largest value as a multiple of the smallest, 0 unless all are positive."""
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 0.0


def last_value(curve: Curve) -> float:
    """Return the last value; NaN if there is none."""
    values = curve.values[np.isfinite(curve.values)]
    return float(values[-1]) if values.size else np.nan


def add_kimg_axis(axes: Axes, metrics: Mapping[str, Column]) -> None:
    """Add a second axis on top: thousands of real images shown to D, which grow with the turns."""
    turn, kimg = metrics["turn"], metrics.get("kimg", np.full(len(metrics["turn"]), np.nan))
    known = np.isfinite(kimg) & (turn > 0)
    if known.any():
        ratio = kimg[known][-1] / turn[known][-1]
        above = axes.secondary_xaxis("top", functions=(lambda t: t * ratio, lambda k: k / ratio))
        above.set_xlabel("kimg")
        above.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
