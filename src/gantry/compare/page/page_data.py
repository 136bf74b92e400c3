"""Convert a comparison to plain values for the scripts of the page."""

import base64
import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gantry.compare.comparison import Comparison
from gantry.compare.config_diff import format_cell
from gantry.compare.groups import RunGroup
from gantry.compare.run_record import SECONDS_COLUMN, RunRecord
from gantry.runs.metrics_csv import Column
from gantry.values import evenly_spaced

MAX_CURVE_POINTS = 400  # of one curve
MAX_PICTURE_PIXELS = 1 << 26  # of a picture that is read
MAX_SIDE = 640  # of a picture, in pixels
WEBP_QUALITY = 80

TRAIN_COMMAND = "python src/train.py"

TIME_AXES = {"turn": "turn", "kimg": "kimg", "seconds": SECONDS_COLUMN}

CURVE_PREFIXES = ("score/", "loss/", "logits/", "critic/", "grad", "norm", "speed/images_per_second")


def make_page_data(comparison: Comparison, pictures: int) -> dict[str, Any]:
    """Return all that the page shows; `pictures` turns of samples at most."""
    ranks = {id(one): i + 1 for i, one in enumerate(comparison.ranking)}
    turns = select_image_turns((run.image_paths for run in comparison.runs), pictures)
    of = {id(run): i for i, one in enumerate(comparison.groups) for run in one.runs}
    return {
        "score": comparison.monitor,
        "scores": comparison.score_names,
        "directions": {name: int(comparison.get_score_direction(name)) for name in comparison.score_names},
        "columns": list(comparison.columns),
        "main": [list(comparison.columns).index(key) for key in comparison.main_columns],
        "groups": [make_group_row(one, ranks.get(id(one))) for one in comparison.groups],
        "runs": [
            make_run_row(one, of[id(one)], mark) for one, mark in zip(comparison.runs, comparison.protocol_labels)
        ],
        "curves": [make_page_curves(one.metrics) for one in comparison.runs],
        "turns": turns,
        "pictures": [make_page_samples(one, turns) for one in comparison.runs],
    }


def make_group_row(one: RunGroup, rank: int | None) -> dict[str, Any]:
    """Return a row of the table of settings."""
    seconds = [run.seconds for run in one.runs if run.seconds is not None and run.is_finished]
    return {
        "label": one.label,
        "values": one.values,
        "protocol": one.protocol_label,
        "rank": rank,
        "seeds": sorted({format_cell(run.seed) for run in one.runs}),
        "status": one.status,
        "numbers": {key: [mean.mean, mean.half, mean.n] for key, mean in one.intervals.items()},
        "seconds": float(np.mean(seconds)) if seconds else None,
    }


def make_run_row(one: RunRecord, group: int, protocol: str) -> dict[str, Any]:
    """Return a row of the table of runs."""
    places = {place: entry["scores"] for place, entry in one.entries.items()}
    numbers = {f"{place}/{name}": one.get_score(place, name) for place, scores in places.items() for name in scores}
    return {
        "name": one.name,
        "folder": str(one.folder),
        "command": format_command(one),
        "group": group,
        "seed": format_cell(one.seed),
        "protocol": protocol,
        "status": str(one.status),
        "numbers": {key: [value, None, 1] for key, value in numbers.items() if value is not None},
        "seconds": one.seconds,
    }


def format_command(run: RunRecord) -> str:
    """Return the command line that started a run, for a shell; "" if its overrides are not known."""
    return " ".join([TRAIN_COMMAND, *map(shlex.quote, run.overrides)]) if run.overrides else ""


def make_page_curves(metrics: Mapping[str, Column]) -> dict[str, Any]:
    """Return columns of metrics.csv as lists of points, without the rows that have none; times by name in `axes`."""
    if not metrics:
        return {}
    times = {axis: metrics[name] for axis, name in TIME_AXES.items() if name in metrics}
    times = {axis: interpolate_times(column, metrics["turn"]) for axis, column in times.items()}
    curves = {}
    for name, column in metrics.items():
        there = np.flatnonzero(np.isfinite(column))
        if name.startswith(CURVE_PREFIXES) and not name.endswith("_std") and there.size:
            rows = there[evenly_spaced(len(there), MAX_CURVE_POINTS)]
            curves[name] = {axis: round_column(time[rows]) for axis, time in times.items()} | {
                "y": round_column(column[rows])
            }
    return curves


def interpolate_times(times: Column, turn: Column) -> Column:
    """Return a time at every row: missing ones are interpolated, and turn 0 is at 0."""
    known = np.isfinite(times) & (turn > 0)
    return np.interp(turn, [0.0, *turn[known]], [0.0, *times[known]])


def round_column(column: Column) -> list[float]:
    """Round to five significant digits, which are enough to draw."""
    return [float(f"{value:.5g}") for value in column]


def make_page_samples(one: RunRecord, turns: list[int]) -> dict[str, Any]:
    """Return the pictures of a run: for each turn of the slider the index in `data` (`shown`), and their `turns`."""
    shown_columns = find_latest_turns(turns, one.image_paths)
    own = sorted({turn for turn in shown_columns if turn is not None})
    return {
        "shown": [None if turn is None else own.index(turn) for turn in shown_columns],
        "turns": own,
        "data": [encode_data_url(one.image_paths[turn]) for turn in own],
    }


def select_image_turns(runs: Iterable[Iterable[int]], count: int) -> list[int]:
    """Return at most `count` turns at which some run has a picture, evenly spaced, with the first and the last."""
    turns = sorted({turn for run in runs for turn in run})
    return [turns[i] for i in evenly_spaced(len(turns), count)]


def find_latest_turns(turns: Sequence[int], own: Iterable[int]) -> list[int | None]:
    """Return for each turn the newest picture that a run had by then; None before its first one."""
    own = sorted(own)
    return [max((mine for mine in own if mine <= turn), default=None) for turn in turns]


def encode_data_url(path: Path) -> str:
    """Return a picture as an URL that holds all of it; "" if it cannot be read or is larger than a run's would be."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:  # the formats of a name are others': some start programs
            if picture.width * picture.height > MAX_PICTURE_PIXELS:
                return ""
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # which of them depends on the damage
        return ""
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    encoded = (encode_webp(small, lossless) for lossless in (False, True))
    data = min(encoded, key=len)  # lossless is smaller for enlarged pixels
    return f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"


def encode_webp(picture: Image.Image, lossless: bool) -> bytes:
    """Return the bytes of a WebP file."""
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=WEBP_QUALITY, method=4, lossless=lossless)
    return data.getvalue()
