"""Image files of any kind -> uint8 [C, H, W], and what could not be read."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from gantry.distributed import collectives


def decode_image(path: Path, shape: Sequence[int]) -> np.ndarray:
    """An image file -> uint8 `shape`: upright, on white where transparent, its centre crop resized (Lanczos).

    Grey for one channel, RGB for three; the first frame of an animation. Raises whatever Pillow raises.
    """
    channels, height, width = shape
    with Image.open(path) as file:
        image = composite_on_white(_convert_to_8_bit(ImageOps.exif_transpose(file)))
        image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def check_image_header(path: Path) -> None:
    """Raises whatever Pillow raises when it opens the file without decoding it."""
    with Image.open(path):
        pass


def read_files_parallel(paths: Sequence[Path], read: Callable[[int, Path], None]) -> dict[int, str]:
    """Call `read(i, paths[i])` for every i, on all cores: -> the reason of each that failed."""
    broken: dict[int, str] = {}

    def attempt(i: int) -> None:
        try:
            read(i, paths[i])
        except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
            broken[i] = format_error_with_type(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        attempts = pool.map(attempt, range(len(paths)))
        for _ in tqdm(attempts, "Reading images", len(paths), delay=2, leave=False, disable=collectives.rank() > 0):
            pass
    return broken


def format_error_with_type(error: Exception) -> str:
    """An exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _convert_to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit grey, which Pillow holds in the modes I;16, I;16B or I, to 8 bits; other images as they are."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).clip(0, 65535) / 257
        return Image.fromarray(levels.round().astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    return image


def composite_on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))
