"""The settings that matter: bars of the mean score of each value, and the score against a number."""

from html import escape

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import is_main_setting
from gantry.compare.groups import MeanByValue, RunGroup
from gantry.compare.page.scatter import ScatterPoint, render_scatter

MAX_EFFECT_BARS = 8  # values of a setting
MAX_REASONS = 6  # boxes that are visible at first
MIN_SCATTER_VALUES = 3  # different numbers
POINTS_NOTE = "A point is the mean of a setting over its seeds; other settings may differ between points."


def render_reasons(comparison: Comparison) -> str:
    """Return a box for each setting: bars of texts, the strongest first, then scatters of numbers; six are visible."""
    numeric = [key for key in comparison.columns if is_main_setting(key) and is_numeric_column(key, comparison)]
    bars = [render_effect(key, *effect, comparison) for key, effect in comparison.effects.items() if key not in numeric]
    boxes = [*bars, *(render_number_effect(key, comparison) for key in numeric)]
    text = f'<div class="reasons">{"".join(boxes[:MAX_REASONS])}</div>' if boxes else ""
    if rest := boxes[MAX_REASONS:]:
        folded = f'<div class="reasons">{"".join(rest)}</div>'
        text += f"<details><summary>{len(rest)} more settings and their scores</summary>{folded}</details>"
    return text + f'<p class="quiet">{POINTS_NOTE}</p>' * bool(numeric)


def is_numeric_column(key: str, comparison: Comparison) -> bool:
    """Return True if the ranked groups have enough different numbers under a key to draw a scatter."""
    values = {value for group in comparison.ranking if (value := get_number(key, group, comparison)) is not None}
    texts = {group.values[list(comparison.columns).index(key)] for group in comparison.ranking}
    return len(values) >= MIN_SCATTER_VALUES and len(values) >= len(texts) - 1  # one text: the key is absent


def get_number(key: str, group: RunGroup, comparison: Comparison) -> float | None:
    """Return the value of a key in a group as a finite number; None if it is not one."""
    try:
        number = float(group.values[list(comparison.columns).index(key)])
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def render_number_effect(key: str, comparison: Comparison) -> str:
    """Return the scatter of the best score against a number, a point for each ranked setting."""
    points = []
    for i, group in enumerate(comparison.ranking):
        number = get_number(key, group, comparison)
        if number is not None:
            score = group.intervals[f"best/{comparison.monitor}"]
            points.append(ScatterPoint(number, score.mean, score.half or 0.0, f"{group.label}: {score}", i == 0))
    over = f"best {comparison.monitor}, {format_better(comparison)}"
    return render_box(key, over, render_scatter(points, key, comparison.monitor))


def render_effect(key: str, means: MeanByValue, settings: int, comparison: Comparison) -> str:
    """Return one setting with its values, best first."""
    rows = sorted(means.items(), key=lambda item: comparison.sort_sign * item[1])
    largest = max(map(abs, means.values())) or 1.0
    bars = [
        render_effect_bar(value, mean, abs(mean) / largest, i == 0)
        for i, (value, mean) in enumerate(rows[:MAX_EFFECT_BARS])
    ]
    over = f"mean best {comparison.monitor} over {settings} matched setting{'s' * (settings != 1)}"
    left = f'<span class="quiet">and {len(rows) - MAX_EFFECT_BARS} more</span>' if len(rows) > MAX_EFFECT_BARS else ""
    return render_box(key, f"{over}, {format_better(comparison)}", f"{''.join(bars)}{left}")


def render_effect_bar(value: str, mean: float, fraction: float, first: bool) -> str:
    """Return one value of a setting, with its mean as a bar."""
    bar = f'<i style="width:{100 * fraction:.0f}%">{mean:.4g}</i>'
    return f'<div class="effect{" first" * first}"><span title="{escape(value)}">{escape(value)}</span>{bar}</div>'


def render_box(key: str, over: str, content: str) -> str:
    """Return a box with the key as its heading; `content` is HTML."""
    return f'<div class="reason"><h3>{escape(key)} <span>{escape(over)}</span></h3>{content}</div>'


def format_better(comparison: Comparison) -> str:
    """Return `less is better` or `more is better`."""
    return "less is better" if comparison.sort_sign > 0 else "more is better"
