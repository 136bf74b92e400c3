"""Animations: many pictures in one file."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gantry.files import atomic_write

CAPTION_HEIGHT = 28  # height of the line of text below the picture, in pixels,
MIN_CAPTION_WIDTH = 130  # and the width that it needs
TEXT_COLOUR, BACKGROUND_COLOUR, BAR_COLOUR = "#202428", "#ffffff", "#1f5fd0"


def add_caption(picture: Image.Image, text: str, progress: float) -> Image.Image:
    """Return the picture with a line of text and a progress bar below it, `progress` (0 to 1) of its width."""
    frame = Image.new(
        "RGB", (max(picture.width, MIN_CAPTION_WIDTH), picture.height + CAPTION_HEIGHT), BACKGROUND_COLOUR
    )
    frame.paste(picture, (0, 0))
    draw = ImageDraw.Draw(frame)
    draw.text((4, frame.height - CAPTION_HEIGHT + 3), text, fill=TEXT_COLOUR, font=ImageFont.load_default(size=15))
    draw.rectangle((0, frame.height - 3, round(progress * frame.width), frame.height), fill=BAR_COLOUR)
    return frame


def pad_to_common_size(frames: list[Image.Image]) -> list[Image.Image]:
    """Return frames of one size, the smaller ones with a margin: a resumed run may draw its samples otherwise."""
    width, height = (max(sides) for sides in zip(*(frame.size for frame in frames)))
    if all(frame.size == (width, height) for frame in frames):
        return frames
    padded = [Image.new("RGB", (width, height), BACKGROUND_COLOUR) for _ in frames]
    for canvas, frame in zip(padded, frames):
        canvas.paste(frame, (0, 0))
    return padded


def write_animation(
    frames: Iterable[Image.Image], path: Path, milliseconds: int, hold: int = 0, lossless: bool = False
) -> None:
    """Write frames as an animated WebP that repeats; the last frame stays `hold` milliseconds longer.

    For enlarged grey pixels a lossless file is the smaller one, for colours a lossy one by far. A GIF is larger than
    both, and has only 256 colours.
    """
    first, *others = pad_to_common_size(list(frames))
    durations = [milliseconds] * len(others) + [milliseconds + hold]
    how = {"lossless": lossless, "quality": 20 if lossless else 80, "method": 2}
    with atomic_write(path) as part:
        first.save(part, "WEBP", save_all=True, append_images=others, duration=durations, loop=0, **how)
