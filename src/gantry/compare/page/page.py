"""A comparison as one HTML file that needs nothing else: no network, no server, no other file."""

import json
from collections.abc import Mapping
from functools import reduce
from html import escape
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from gantry.compare.comparison import Comparison, format_verdict, list_remarks
from gantry.compare.data_sets import DataSetComparison
from gantry.compare.page.page_data import make_page_data
from gantry.compare.page.reasons import render_reasons
from gantry.compare.page.text import (
    format_count,
    render_best_run,
    render_dependent_columns,
    render_list,
    render_remarks,
)

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("page.js", "table.js", "seeds.js", "curves.js", "samples.js", "start.js")


def render_page(comparison: DataSetComparison, subtitle: str, pictures: int) -> str:
    """Return the whole page: a section for each data set, with samples of `pictures` turns at most."""
    sections = comparison.by_data_set.items()
    title = format_title(comparison)
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "style": read_asset("page.css"),
        "unreadable": render_remarks(comparison.unreadable, "left out"),
        "sections": "".join(render_section(name, section, i == 0) for i, (name, section) in enumerate(sections)),
        "data": to_script_json([make_page_data(section, pictures) for _, section in sections]),
        "plotly": get_plotlyjs(),
        "script": "\n".join(map(read_asset, SCRIPTS)),
    }
    return fill_template("page.html", parts)


def render_section(name: str, comparison: Comparison, unfolded: bool) -> str:
    """Return the section of a data set: its verdict is always visible, the rest of the first one only."""
    settings = len({group.values for group in comparison.groups})
    parts = {
        "name": escape(name),
        "open": "open" if unfolded else "",
        "count": escape(f"{format_count(len(comparison.runs), 'run')}, {format_count(settings, 'setting')}"),
        "verdict": escape(format_verdict(comparison)).replace("Best: ", "<b>Best:</b> ", 1),
        "best_run": render_best_run(comparison),
        "reasons": render_reasons(comparison),
        "remarks": render_remarks(list_remarks(comparison, with_legend=False), "remark"),
        "protocols": render_list(comparison.legend, "protocols"),
        "follows": render_dependent_columns(comparison),
    }
    return fill_template("section.html", parts)


def format_title(comparison: DataSetComparison) -> str:
    """Return `8 runs, 2 data sets`."""
    runs = format_count(sum(len(section.runs) for section in comparison.by_data_set.values()), "run")
    return f"{runs}, {format_count(len(comparison.by_data_set), 'data set')}"


def fill_template(asset: str, parts: Mapping[str, str]) -> str:
    """Return an asset with its placeholders filled; nothing in a part is mistaken for a placeholder."""
    first, *pieces = read_asset(asset).split("{{")
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
