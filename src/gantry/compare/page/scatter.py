"""A small scatter diagram as SVG in the colours of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gantry.values import is_log_spaced

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 10, 38  # margins, for the labels of the axes
MAX_TICKS = 6
LABEL_LENGTH = 48  # characters of the name of a setting below its axis


@dataclass(frozen=True)
class ScatterPoint:
    """A point with half of its vertical interval, and the text that it shows when pointed at."""

    x: float
    y: float
    half: float
    text: str
    best: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis from low to high; `start` and `stop` are its ends in pixels."""

    low: float
    high: float
    log: bool
    start: float
    stop: float

    def place(self, value: float) -> float:
        """Return the position of a value in pixels."""
        low, high, at = (map(math.log10, (self.low, self.high, value))) if self.log else (self.low, self.high, value)
        return self.start + (self.stop - self.start) * (at - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Return round numbers on the axis: on a log scale powers of ten or, in a short range, 1, 2 and 5 of them."""
        if not self.log:
            return list_linear_ticks(self.low, self.high)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        powers = [10.0**k for k in range(first, last + 1) if self.low <= 10.0**k <= self.high]
        fine = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5) if self.low <= m * 10.0**k <= self.high]
        return powers[:: -(-len(powers) // MAX_TICKS)] if len(powers) > 2 else fine


def list_linear_ticks(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from low to high, MAX_TICKS at most."""
    power = 10.0 ** math.floor(math.log10((high - low) / MAX_TICKS))
    step = next(m * power for m in (1, 2, 5, 10, 20) if (high - low) / (m * power) <= MAX_TICKS - 1)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def make_axis(values: Sequence[float], start: float, stop: float) -> Axis:
    """Return an axis with a margin of a twentieth around values, on a log scale where they are spaced so."""
    low, high, log = min(values), max(values), is_log_spaced(sorted(set(values)))
    if log:
        margin = (high / low) ** 0.05
        return Axis(low / margin, high * margin, True, start, stop)
    margin = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return Axis(low - margin, high + margin, False, start, stop)


def render_scatter(points: Sequence[ScatterPoint], x_label: str, y_label: str) -> str:
    """Return the diagram as an SVG element, the best point on top."""
    x = make_axis([point.x for point in points], LEFT, WIDTH - RIGHT)
    y = make_axis([point.y for point in points], HEIGHT - BOTTOM, TOP)
    label = f"{x_label[:LABEL_LENGTH]}{' (log scale)' if x.log else ''}"
    texts = [render_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, label, "middle")]
    marks = [render_point(point, x, y) for point in sorted(points, key=lambda point: point.best)]
    name = escape(f"{y_label} against {x_label}")
    shapes = "".join([*render_grid(x, y), *texts, *marks])
    return f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{shapes}</svg>'


def render_grid(x: Axis, y: Axis) -> list[str]:
    """Return the lines of the grid and their numbers."""
    bottom, shapes = HEIGHT - BOTTOM, []
    for tick in x.ticks:
        shapes += [render_line(x.place(tick), TOP, x.place(tick), bottom)]
        shapes += [render_text(x.place(tick), bottom + 14, f"{tick:.4g}", "middle")]
    for tick in y.ticks:
        shapes += [render_line(LEFT, y.place(tick), WIDTH - RIGHT, y.place(tick))]
        shapes += [render_text(LEFT - 5, y.place(tick) + 4, f"{tick:.4g}", "end")]
    return shapes


def render_line(x1: float, y1: float, x2: float, y2: float, kind: str = "rule") -> str:
    """Return a line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def render_text(x: float, y: float, text: str, anchor: str) -> str:
    """Return a text that begins, ends or has its middle at x."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def render_point(point: ScatterPoint, x: Axis, y: Axis) -> str:
    """Return a point on its interval, cut off at the ends of the axis."""
    at, height = x.place(point.x), y.place(point.y)
    low, high = max(point.y - point.half, y.low), min(point.y + point.half, y.high)
    bar = render_line(at, y.place(low), at, y.place(high), "interval") if point.half else ""
    kind = ' class="best"' if point.best else ""
    text = f"<title>{escape(point.text)}</title>"
    return f'<g{kind}>{text}{bar}<circle cx="{at:.1f}" cy="{height:.1f}" r="4.5"/></g>'
