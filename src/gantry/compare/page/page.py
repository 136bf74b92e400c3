"""A comparison as one HTML file that needs nothing else: no network, no server, no other file."""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from html import escape
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from gantry.compare.comparison import Comparison, remarks, verdict
from gantry.compare.config_diff import written
from gantry.compare.groups import Mean
from gantry.compare.page.page_data import plain
from gantry.compare.protocols import explained

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("page.js", "table.js", "seeds.js", "curves.js", "samples.js")
SHOWN = 8  # values of a setting


def page(comparison: Comparison, title: str, subtitle: str, pictures: int) -> str:
    """The whole page; `pictures` turns of samples at most."""
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "style": asset("page.css"),
        "verdict": escape(verdict(comparison)).replace("Best: ", "<b>Best:</b> ", 1),
        "reasons": reasons(comparison),
        "remarks": notes(remarks(comparison)),
        "protocols": listed(explained(comparison.runs, comparison.letters), "protocols"),
        "follows": follows(comparison),
        "data": in_script(plain(comparison, pictures)),
        "plotly": get_plotlyjs(),
        "script": "\n".join(map(asset, SCRIPTS)),
    }
    first, *pieces = asset("page.html").split("{{")  # cut first, so that nothing in a part is taken for a place
    return reduce(lambda text, piece: text + fill(piece, parts), pieces, first)


def fill(piece: str, parts: Mapping[str, str]) -> str:
    """`title}} more` -> the title and ` more`."""
    name, _, rest = piece.partition("}}")
    return parts[name] + rest


def asset(name: str) -> str:
    """A file of the page."""
    return (ASSETS / name).read_text(encoding="utf-8")


def in_script(values: Any) -> str:
    """JSON that cannot end the script element in which it stands."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def reasons(comparison: Comparison) -> str:
    """For each setting, strongest first, the mean of the score with each of its values, as bars."""
    boxes = [reason(key, *effect, comparison) for key, effect in comparison.reasons.items()]
    return f'<div class="reasons">{"".join(boxes)}</div>' if boxes else ""


def reason(key: str, means: Mean, settings: int, comparison: Comparison) -> str:
    """One setting: its values, best first."""
    rows = sorted(means.items(), key=lambda item: comparison.sign * item[1])
    largest = max(map(abs, means.values())) or 1.0
    bars = [effect(value, mean, abs(mean) / largest, i == 0) for i, (value, mean) in enumerate(rows[:SHOWN])]
    better = "less" if comparison.sign > 0 else "more"
    over = f"mean best {comparison.score} over {settings} matched setting{'s' * (settings != 1)}, {better} is better"
    left = f'<span class="quiet">and {len(rows) - SHOWN} more</span>' if len(rows) > SHOWN else ""
    return f'<div class="reason"><h3>{escape(key)} <span>{escape(over)}</span></h3>{"".join(bars)}{left}</div>'


def effect(value: str, mean: float, share: float, first: bool) -> str:
    """One value of a setting: its mean on a bar."""
    bar = f'<i style="width:{100 * share:.0f}%">{mean:.4g}</i>'
    return f'<div class="effect{" first" * first}"><span title="{escape(value)}">{escape(value)}</span>{bar}</div>'


def notes(lines: list[str]) -> str:
    """What must be known beside the numbers; nothing where there is nothing. Many lines are folded away."""
    if not lines:
        return ""
    count = f"{len(lines)} remark{'s' * (len(lines) != 1)}"
    unfolded = " open" * (len(lines) <= 4)
    first, rest = escape(lines[0]), listed(lines[1:])
    return f'<details class="remarks"{unfolded}><summary>{count}: {first}</summary>{rest}</details>'


def listed(lines: Iterable[str], kind: str = "") -> str:
    """A list."""
    return f'<ul class="{kind}">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def follows(comparison: Comparison) -> str:
    """The keys that differ because of others: a row for each, a column for each setting."""
    if not comparison.follows:
        return ""
    firsts = [comparison.runs.index(one.runs[0]) for one in comparison.groups]
    head = "".join(f"<th>{escape(one.label)}</th>" for one in comparison.groups)
    rows = [
        f"<tr><td>{escape(key)}</td>{''.join(f'<td>{escape(written(values[i]))}</td>' for i in firsts)}</tr>"
        for key, values in comparison.follows.items()
    ]
    table = f'<div class="scroll"><table class="differences"><tr><th>key</th>{head}</tr>{"".join(rows)}</table></div>'
    return f"<details><summary>{len(rows)} more keys that differ with these settings</summary>{table}</details>"
