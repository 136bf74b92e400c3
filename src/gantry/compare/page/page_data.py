"""A comparison as plain values, which is what the scripts of the page draw."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import written
from gantry.compare.groups import Group
from gantry.compare.run_record import SECONDS, Run
from gantry.runs.metrics_csv import Column
from gantry.values import spread

POINTS = 400  # of a curve at most

AXES = {"turn": "turn", "kimg": "kimg", "seconds": SECONDS}

SHOWN = ("score/", "loss/", "logits/", "critic/", "grad", "norm", "speed/images_per_second")


def plain(comparison: Comparison, pictures: int) -> dict[str, Any]:
    """All that the page shows; `pictures` turns of samples at most."""
    ranks = {id(one): i + 1 for i, one in enumerate(comparison.ranking)}
    turns = shared_turns((run.pictures for run in comparison.runs), pictures)
    of = {id(run): i for i, one in enumerate(comparison.groups) for run in one.runs}
    return {
        "score": comparison.score,
        "less": comparison.sign > 0,
        "scores": comparison.scores,
        "columns": list(comparison.columns),
        "groups": [group(one, ranks.get(id(one))) for one in comparison.groups],
        "runs": [run(one, of[id(one)], mark) for one, mark in zip(comparison.runs, comparison.letters)],
        "curves": [curves(one.metrics) for one in comparison.runs],
        "turns": turns,
        "pictures": [samples(one, turns) for one in comparison.runs],
    }


def group(one: Group, rank: int | None) -> dict[str, Any]:
    """A row of the table of settings."""
    seconds = [run.seconds for run in one.runs if run.seconds is not None and run.finished]
    return {
        "label": one.label,
        "values": one.values,
        "protocol": one.protocol,
        "rank": rank,
        "seeds": sorted({written(run.seed) for run in one.runs}),
        "status": one.status,
        "numbers": {key: [mean.mean, mean.half, mean.n] for key, mean in one.numbers.items()},
        "seconds": float(np.mean(seconds)) if seconds else None,
    }


def run(one: Run, group: int, protocol: str) -> dict[str, Any]:
    """A row of the table of runs."""
    places = {place: entry["scores"] for place, entry in one.places.items()}
    numbers = {f"{place}/{name}": one.number(place, name) for place, scores in places.items() for name in scores}
    return {
        "name": one.name,
        "group": group,
        "seed": written(one.seed),
        "protocol": protocol,
        "status": str(one.status),
        "numbers": {key: [value, None, 1] for key, value in numbers.items() if value is not None},
        "seconds": one.seconds,
    }


def curves(metrics: Mapping[str, Column]) -> dict[str, Any]:
    """Columns of metrics.csv as lists of points, without the rows that have none; times by name in `axes`."""
    if not metrics:
        return {}
    times = {axis: metrics[name] for axis, name in AXES.items() if name in metrics}
    times = {axis: filled(column, metrics["turn"]) for axis, column in times.items()}
    found = {}
    for name, column in metrics.items():
        there = np.flatnonzero(np.isfinite(column))
        if name.startswith(SHOWN) and not name.endswith("_std") and there.size:
            kept = there[spread(len(there), POINTS)]
            found[name] = {axis: digits(time[kept]) for axis, time in times.items()} | {"y": digits(column[kept])}
    return found


def filled(times: Column, turn: Column) -> Column:
    """A time at every row: those without one lie between their neighbours, and turn 0 is at 0."""
    known = np.isfinite(times) & (turn > 0)
    return np.interp(turn, [0.0, *turn[known]], [0.0, *times[known]])


def digits(column: Column) -> list[float]:
    """Five significant digits say enough to draw."""
    return [float(f"{value:.5g}") for value in column]


def samples(one: Run, turns: list[int]) -> dict[str, Any]:
    """The pictures of a run: the index in `data` for each turn of the slider (`shown`), and the `turns` of these."""
    shown = at(turns, one.pictures)
    own = sorted({turn for turn in shown if turn is not None})
    return {
        "shown": [None if turn is None else own.index(turn) for turn in shown],
        "turns": own,
        "data": [embedded(one.pictures[turn]) for turn in own],
    }


LARGEST = 640  # pixels of a side

QUALITY = 80


def shared_turns(runs: Iterable[Iterable[int]], count: int) -> list[int]:
    """At most `count` of the turns at which some run has a picture, evenly spread, the first and the last with them."""
    turns = sorted({turn for run in runs for turn in run})
    return [turns[i] for i in spread(len(turns), count)]


def at(turns: Sequence[int], own: Iterable[int]) -> list[int | None]:
    """For each turn the newest picture that a run had by then; None before its first one."""
    own = sorted(own)
    return [max((mine for mine in own if mine <= turn), default=None) for turn in turns]


def embedded(path: Path) -> str:
    """A picture as an URL that holds all of it; "" if it cannot be read."""
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((LARGEST, LARGEST))
    data = min(webp(small, lossless=False), webp(small, lossless=True), key=len)  # enlarged pixels: the latter is less
    return f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"


def webp(picture: Image.Image, lossless: bool) -> bytes:
    """The bytes of a WebP file."""
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=QUALITY, method=4, lossless=lossless)
    return data.getvalue()
