"""Images from another program: a folder, a zip or an npz, read piece by piece in the format of metrics."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gantry.data.decoding import composite_on_white
from gantry.errors import UserError, format_on_one_line
from gantry.evaluation.feature_pass import ImageSource

SAMPLE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
PIL_MODES = {1: "L", 3: "RGB"}
EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # eight bits a channel, as metrics need


@dataclass(frozen=True)
class SampleFiles:
    """`count` samples of one `shape`: images(start, stop) -> uint8 [n, C, H, W], or points float [n, 2].

    `labels` int64 [count] are their classes, if they are known: `arr_1` of an npz, or the folder of each file, if all
    files are in folders side by side.
    """

    count: int
    shape: tuple[int, ...]
    images: ImageSource
    labels: Tensor | None = None


def open_samples(path: Path, channels: int) -> SampleFiles:
    """Return the samples of a file or folder, with 1 or 3 channels, in the order of their names.

    Raises UserError, naming the file, for a file that is no image and for images of different sizes.
    """
    if not path.exists():
        raise UserError(f"samples must be a folder, an .npz or a .zip, got {path}, which does not exist")
    if path.suffix == ".npz":
        return open_npz(path)
    if path.suffix == ".zip":
        return open_zip(path, channels)
    names = [str(file.relative_to(path)) for file in path.rglob("*")]
    return open_image_files(path, filter_image_names(names), lambda name: (path / name).read_bytes(), channels)


def open_zip(path: Path, channels: int) -> SampleFiles:
    """Return the image files in an archive."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"samples must be a complete .zip, got {path}: {error}") from None
    return open_image_files(path, filter_image_names(archive.namelist()), archive.read, channels)


def filter_image_names(names: Iterable[str]) -> list[str]:
    """Return the names of image files, sorted; without hidden files and resource forks of macOS."""
    return sorted(name for name in names if Path(name).suffix.lower() in SAMPLE_SUFFIXES and not is_hidden(name))


def is_hidden(name: str) -> bool:
    """Return True if any part of a path is hidden or a resource fork of macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in Path(name).parts)


def open_npz(path: Path) -> SampleFiles:
    """Return `arr_0` of an npz: uint8 [N, H, W, C], or points float [N, 2]; nothing is unpickled."""
    try:
        arrays = np.load(path, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("this is a single array, an .npy by another name")
        with arrays:
            x = arrays["arr_0"]
            c = arrays.get("arr_1")
    except (KeyError, ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"samples must be an .npz with arr_0, got {path}: {error}") from None
    if x.ndim == 2 and x.shape[1] == 2 and x.dtype.kind == "f":
        return SampleFiles(
            len(x), (2,), lambda start, stop: torch.from_numpy(x[start:stop]).float(), parse_class_ids(c, x)
        )
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in PIL_MODES:
        raise UserError(f"samples must hold arr_0 uint8 [N, H, W, 1 or 3], got {x.dtype} {list(x.shape)}")
    chw = (x.shape[3], x.shape[1], x.shape[2])
    return SampleFiles(len(x), chw, lambda start, stop: to_nchw(x[start:stop]), parse_class_ids(c, x))


def parse_class_ids(c: NDArray[np.generic] | None, x: NDArray[np.generic]) -> Tensor | None:
    """Return the class ids int64 [N] of samples x [N, ...]; None for an array that has none."""
    decode_checked = c is not None and c.dtype.kind in "iu" and c.shape == x.shape[:1]
    return torch.from_numpy(c.astype(np.int64)) if c is not None and decode_checked else None


def class_ids_from_folders(names: list[str]) -> Tensor | None:
    """Return the classes of files by their folders: int64 [N]; None unless all files are one folder deep, in several
    folders.

    If the names of all folders are integers, they are the classes; other names are numbered from 0, sorted as text.
    """
    folders = [str(Path(name).parent) for name in names]
    counted = all(re.fullmatch("[0-9]{1,9}", folder) for folder in folders)
    numbers = {folder: int(folder) if counted else i for i, folder in enumerate(sorted(set(folders)))}
    deep = all(len(Path(name).parts) == 2 for name in names)
    return torch.tensor([numbers[folder] for folder in folders]) if deep and len(numbers) > 1 else None


def open_image_files(path: Path, names: list[str], read: Callable[[str], bytes], channels: int) -> SampleFiles:
    """Return image files, which are decoded when they are read."""
    if not names:
        raise UserError(f"samples must hold images ({', '.join(sorted(SAMPLE_SUFFIXES))}), got none in {path}")
    height, width = decode_sample(read, names[0], channels).shape[:2]

    def images(start: int, stop: int) -> Tensor:
        return to_nchw(np.stack([decode_checked(name) for name in names[start:stop]]))

    def decode_checked(name: str) -> NDArray[np.uint8]:
        pixels = decode_sample(read, name, channels)
        if pixels.shape[:2] != (height, width):
            size = f"{pixels.shape[0]}x{pixels.shape[1]}"
            raise UserError(f"samples must all be {height}x{width} as {names[0]} is, got {name} with {size}")
        return pixels

    return SampleFiles(len(names), (channels, height, width), images, class_ids_from_folders(names))


def decode_sample(read: Callable[[str], bytes], name: str, channels: int) -> NDArray[np.uint8]:
    """Return an image uint8 [H, W, C], on white where it is transparent."""
    try:
        image = Image.open(io.BytesIO(read(name)))
        image.load()
    except Exception as error:  # archives and Pillow's decoders raise anything from OSError to SyntaxError
        raise UserError(f"samples must be images, got {name}: {format_on_one_line(error, with_type=True)}") from None
    if image.mode not in EIGHT_BIT_MODES:
        raise UserError(f"samples must have 8 bits a channel, got {name} of mode {image.mode}")
    pixels = np.asarray(composite_on_white(image).convert(PIL_MODES[channels]))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def to_nchw(x: NDArray[np.uint8]) -> Tensor:
    """[N, H, W, C] -> [N, C, H, W]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
