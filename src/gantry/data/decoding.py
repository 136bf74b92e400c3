"""Decode image files of any format to uint8 [C, H, W] and report those that cannot be read."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from gantry.distributed import collectives
from gantry.errors import format_on_one_line


def decode_image(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Decode an image file -> uint8 `shape`: EXIF rotation, white behind transparency, centre crop, Lanczos resize.

    Grey for one channel, RGB for three; the first frame of an animation. Raises any error of Pillow.
    """
    channels, height, width = shape
    with Image.open(path) as file:
        image = composite_on_white(_convert_to_8_bit(ImageOps.exif_transpose(file)))
        image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def check_image_header(path: Path) -> None:
    """Open an image file without decoding it; raises any error of Pillow."""
    with Image.open(path):
        pass


def read_files_parallel(paths: Sequence[Path], read: Callable[[int, Path], None]) -> dict[int, str]:
    """Call `read(i, paths[i])` for every i, on all cores; return {i: error message} of the calls that failed."""
    errors: dict[int, str] = {}

    def try_read(i: int) -> None:
        try:
            read(i, paths[i])
        except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
            errors[i] = format_on_one_line(error, with_type=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(try_read, range(len(paths)))
        for _ in tqdm(results, "Reading images", len(paths), delay=2, leave=False, disable=collectives.rank() > 0):
            pass
    return errors


def _convert_to_8_bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey (Pillow's modes I;16, I;16B and I) to 8 bits; return other images unchanged."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).clip(0, 65535) / 257
        return Image.fromarray(levels.round().astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    return image


def composite_on_white(image: Image.Image) -> Image.Image:
    """Composite an image with transparency on white; return other images unchanged."""
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))
