"""Decode images of any format to uint8 [C, H, W], the same for training and for scores."""

import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin
from tqdm import tqdm

from gantry.distributed import collectives
from gantry.errors import format_on_one_line

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no other decoder is tried: EPS starts a program
CHANNEL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MAX_PIXELS = 89_478_485  # of one image: above it Pillow warns of a decompression bomb
LARGE_PIXELS = 2**23  # larger images are decoded one at a time, whatever the number of threads
_LARGE_IMAGE_LOCK = threading.Lock()
_SPECIAL_FILES = ((stat.S_ISFIFO, "named pipe"), (stat.S_ISDIR, "folder"), (stat.S_ISSOCK, "socket"))

EncodedImage = Path | IO[bytes]

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is an error


@dataclass(frozen=True)
class ImageHeader:
    """The upright size of an image, and what decoding it to some number of channels changes."""

    height: int
    width: int
    conversions: frozenset[str] = frozenset()


def decode_image(file: EncodedImage, shape: Sequence[int], bits: int = 8) -> NDArray[np.generic]:
    """Decode an image file to `shape`: EXIF rotation, white behind transparency, centre crop, Lanczos resize.

    -> uint8, or with 16 bits float32 in [-1, 1]. One channel is grey, two are grey and opacity, three RGB, four RGBA;
    the first frame of an animation. Raises any error of Pillow.
    """
    with open_image(file) as image:
        return fit_image(image, shape, bits)


def fit_image(image: Image.Image, shape: Sequence[int], bits: int = 8) -> NDArray[np.generic]:
    """Crop and resize an image, see `decode_image`."""
    channels, height, width = shape
    if bits == 8:
        fitted = ImageOps.fit(convert_image(image, channels), (width, height), Image.Resampling.LANCZOS)
        return np.asarray(fitted).reshape(height, width, channels).transpose(2, 0, 1)
    return fit_array(to_unit_range(image, channels), shape, bits)


def fit_array(pixels: NDArray[np.generic], shape: Sequence[int], bits: int = 8) -> NDArray[np.generic]:
    """Crop and resize pixels [H, W, C], channel by channel; see `decode_image`. uint16 becomes uint8 with 8 bits."""
    _, height, width = shape
    white = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)
    pixels = to_uint8_levels(pixels) if bits == 8 else pixels.astype(np.float32) / np.float32(white)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(pixels, 2, 0)]
    x = np.stack([np.asarray(ImageOps.fit(plane, (width, height), Image.Resampling.LANCZOS)) for plane in planes])
    return x if bits == 8 else (x * 2 - 1).clip(-1, 1).astype(np.float32)


def decode_pixels(file: EncodedImage, channels: int) -> NDArray[np.uint8]:
    """Decode an image file in its own size -> uint8 [H, W, C]. Raises any error of Pillow."""
    with open_image(file) as image:
        pixels = np.asarray(convert_image(image, channels))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def read_image_header(file: EncodedImage, channels: int) -> ImageHeader:
    """Return the facts about an image file without decoding it; raises any error of Pillow."""
    with _open_header(file) as image:
        orientation = _read_orientation(image)
        width, height = _read_stored_size(image)[:: 1 if orientation < 5 else -1]
        return ImageHeader(height, width, frozenset(_list_conversions(image, channels, orientation)))


@contextmanager
def open_image(file: EncodedImage) -> Iterator[Image.Image]:
    """Open and decode an image file, upright; large ones one at a time. Raises any error of Pillow."""
    with _open_header(file) as image:
        is_large = image.width * image.height > LARGE_PIXELS
        with _LARGE_IMAGE_LOCK if is_large else nullcontext():
            ImageOps.exif_transpose(image, in_place=True)
            yield image


def _open_header(file: EncodedImage) -> ImageFile.ImageFile:
    if isinstance(file, Path) and not stat.S_ISREG(mode := file.stat().st_mode):
        kind = next((name for test, name in _SPECIAL_FILES if test(mode)), "device")
        raise ValueError(f"a {kind} is no regular file")
    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"more than {MAX_PIXELS} pixels") from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{image.width}x{image.height} are more than {MAX_PIXELS} pixels")
    if image.format == "PPM":
        image.info["white"] = 65535  # of mode I, to which Pillow scales more than 8 bits
    _scale_transparency_key(image)
    return image


def _read_raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the levels that a PNG or TIFF stores: "L;2" has two bits; "" for other formats."""
    args = image.tile[0].args if image.format in ("PNG", "TIFF") and image.tile else ""
    return args if isinstance(args, str) else str(args[0] if args else "")


def _scale_transparency_key(image: ImageFile.ImageFile) -> None:
    """Scale the transparent level of a PNG as Pillow scales its pixels, from 2 or 4 bits to 8, from 16 to 8."""
    key, raw_mode = image.info.get("transparency"), _read_raw_mode(image)
    if raw_mode in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw_mode]
    if raw_mode == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in key)


def _read_orientation(image: ImageFile.ImageFile) -> int:
    """Return the orientation by EXIF or XMP, 1 to 8; of a PNG only if it stands before the pixels."""
    exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()  # that of PNG decodes the pixels
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return int(orientation) if orientation in range(1, 9) else 1


def _read_stored_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return width and height as stored: Pillow's `size` of a TIFF may be upright already."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return image.size


def _list_conversions(image: ImageFile.ImageFile, channels: int, orientation: int) -> Iterator[str]:
    mode = image.mode
    if orientation > 1:
        yield "turned upright"
    if mode.startswith("I") or "16" in _read_raw_mode(image):
        yield "16 bits to 8"
    if image.has_transparency_data and channels in (1, 3):
        yield "transparent on white"
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        yield f"{mode} to {'RGB' if channels > 2 else 'grey'}"
    is_grey = mode in ("1", "L", "LA", "La") or mode.startswith("I")
    if is_grey != (channels < 3):
        yield "grey to colour" if is_grey else "colour to grey"


def convert_image(image: Image.Image, channels: int) -> Image.Image:
    """Convert an image to 8 bits and 1 to 4 channels: white behind transparency, unless opacity is a channel."""
    image = _convert_to_8_bit(image)
    return (composite_on_white(image) if channels in (1, 3) else image).convert(CHANNEL_MODES[channels])


def to_unit_range(image: Image.Image, channels: int) -> NDArray[np.float32]:
    """Return the levels of an image, 16-bit ones whole: -> float32 [H, W, C] in [0, 1]."""
    if not image.mode.startswith("I"):
        pixels = np.asarray(convert_image(image, channels), np.float32) / np.float32(255)
        return pixels.reshape(image.height, image.width, channels)
    levels = _read_16_bit(image).astype(np.float32)[:, :, None] / np.float32(65535)
    grey = levels.repeat(3 if channels > 2 else 1, 2)
    return grey if channels in (1, 3) else np.concatenate([grey, np.ones_like(levels)], 2)


def to_uint8_levels(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale uint16 levels to uint8, rounded; return uint8 unchanged."""
    if pixels.dtype == np.uint16:
        pixels = (pixels.astype(np.float64) / 257).round()
    return np.asarray(pixels, np.uint8)


def _convert_to_8_bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey (Pillow's modes I;16, I;16B and, of a PGM, I) to 8 bits; return other images unchanged."""
    if image.mode.startswith("I"):
        return Image.fromarray(to_uint8_levels(_read_16_bit(image)))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    return image


def _read_16_bit(image: Image.Image) -> NDArray[np.uint16]:
    """Return 16-bit levels [H, W], white where they are transparent."""
    if image.mode == "I" and "white" not in image.info:
        raise ValueError("32-bit pixels have no known white")
    levels = np.asarray(image).astype(np.uint16)
    if (key := image.info.get("transparency")) is not None:
        levels[levels == key] = 65535
    return levels


def composite_on_white(image: Image.Image) -> Image.Image:
    """Composite an image with transparency on white; return other images unchanged."""
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def read_parallel(n: int, read: Callable[[int], object], threads: int | None = None) -> dict[int, str]:
    """Call read(i) for every i below n, on all cores or in some number of threads; one thread keeps their order.

    -> {i: error message} of the calls that failed.
    """
    errors: dict[int, str] = {}

    def try_read(i: int) -> None:
        try:
            read(i)
        except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
            errors[i] = format_on_one_line(error, with_type=True)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        results = pool.map(try_read, range(n))
        for _ in tqdm(results, "Reading images", n, delay=2, leave=False, disable=collectives.rank() > 0):
            pass
    return errors
