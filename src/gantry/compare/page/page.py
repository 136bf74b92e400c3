"""A comparison as one HTML file that needs nothing else: no network, no server, no other file."""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from html import escape
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from gantry.compare.comparison import Comparison, format_verdict, list_remarks
from gantry.compare.config_diff import format_cell
from gantry.compare.groups import MeanByValue
from gantry.compare.page.page_data import make_page_data
from gantry.compare.protocols import format_protocol_legend

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("page.js", "table.js", "seeds.js", "curves.js", "samples.js")
MAX_EFFECT_BARS = 8  # values of a setting


def render_page(comparison: Comparison, title: str, subtitle: str, pictures: int) -> str:
    """Return the whole page; `pictures` turns of samples at most."""
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "style": read_asset("page.css"),
        "verdict": escape(format_verdict(comparison)).replace("Best: ", "<b>Best:</b> ", 1),
        "reasons": render_effects(comparison),
        "remarks": render_remarks(list_remarks(comparison)),
        "protocols": render_list(format_protocol_legend(comparison.runs, comparison.protocol_labels), "protocols"),
        "follows": render_dependent_columns(comparison),
        "data": to_script_json(make_page_data(comparison, pictures)),
        "plotly": get_plotlyjs(),
        "script": "\n".join(map(read_asset, SCRIPTS)),
    }
    # split first, so that nothing in a part is mistaken for a placeholder
    first, *pieces = read_asset("page.html").split("{{")
    return reduce(lambda text, piece: text + fill_placeholder(piece, parts), pieces, first)


def fill_placeholder(piece: str, parts: Mapping[str, str]) -> str:
    """Fill a placeholder: `title}} more` -> the title and ` more`."""
    name, _, rest = piece.partition("}}")
    return parts[name] + rest


def read_asset(name: str) -> str:
    """Return the text of an asset."""
    return (ASSETS / name).read_text(encoding="utf-8")


def to_script_json(values: Any) -> str:
    """Return JSON that cannot end the script element around it."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def render_effects(comparison: Comparison) -> str:
    """Return, for each setting, strongest first, the mean of the score with each of its values, as bars."""
    boxes = [render_effect(key, *effect, comparison) for key, effect in comparison.effects.items()]
    return f'<div class="reasons">{"".join(boxes)}</div>' if boxes else ""


def render_effect(key: str, means: MeanByValue, settings: int, comparison: Comparison) -> str:
    """Return one setting with its values, best first."""
    rows = sorted(means.items(), key=lambda item: comparison.sort_sign * item[1])
    largest = max(map(abs, means.values())) or 1.0
    bars = [
        render_effect_bar(value, mean, abs(mean) / largest, i == 0)
        for i, (value, mean) in enumerate(rows[:MAX_EFFECT_BARS])
    ]
    better = "less" if comparison.sort_sign > 0 else "more"
    over = f"mean best {comparison.monitor} over {settings} matched setting{'s' * (settings != 1)}, {better} is better"
    left = f'<span class="quiet">and {len(rows) - MAX_EFFECT_BARS} more</span>' if len(rows) > MAX_EFFECT_BARS else ""
    return f'<div class="reason"><h3>{escape(key)} <span>{escape(over)}</span></h3>{"".join(bars)}{left}</div>'


def render_effect_bar(value: str, mean: float, share: float, first: bool) -> str:
    """Return one value of a setting, with its mean as a bar."""
    bar = f'<i style="width:{100 * share:.0f}%">{mean:.4g}</i>'
    return f'<div class="effect{" first" * first}"><span title="{escape(value)}">{escape(value)}</span>{bar}</div>'


def render_remarks(lines: list[str]) -> str:
    """Return the remarks on the numbers as HTML, "" without any; many of them are collapsed."""
    if not lines:
        return ""
    count = f"{len(lines)} remark{'s' * (len(lines) != 1)}"
    unfolded = " open" * (len(lines) <= 4)
    first, rest = escape(lines[0]), render_list(lines[1:])
    return f'<details class="remarks"{unfolded}><summary>{count}: {first}</summary>{rest}</details>'


def render_list(lines: Iterable[str], kind: str = "") -> str:
    """Return lines as an HTML list."""
    return f'<ul class="{kind}">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def render_dependent_columns(comparison: Comparison) -> str:
    """Return the keys that differ because of others: a row for each, a column for each setting."""
    if not comparison.dependent_columns:
        return ""
    firsts = [comparison.runs.index(one.runs[0]) for one in comparison.groups]
    head = "".join(f"<th>{escape(one.label)}</th>" for one in comparison.groups)
    rows = [
        f"<tr><td>{escape(key)}</td>{''.join(f'<td>{escape(format_cell(values[i]))}</td>' for i in firsts)}</tr>"
        for key, values in comparison.dependent_columns.items()
    ]
    table = f'<div class="scroll"><table class="differences"><tr><th>key</th>{head}</tr>{"".join(rows)}</table></div>'
    return f"<details><summary>{len(rows)} more keys that differ with these settings</summary>{table}</details>"
