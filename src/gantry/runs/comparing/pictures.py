"""Sample grids for a page: a few turns of each run, small enough to travel in it."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from gantry.runs.spread import spread

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
