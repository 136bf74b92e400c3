"""Images that another program left: a folder, a zip or an npz, read piece by piece as metrics want them."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gantry.metrics.collected import Images

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
MODES = {1: "L", 3: "RGB"}
KNOWN = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # eight bits a channel, which is what metrics see


@dataclass(frozen=True)
class SampleFiles:
    """`count` samples of one `shape`: images(start, stop) -> uint8 [n, C, H, W], or points float [n, 2].

    `labels` int64 [count] are their classes, where they are known: `arr_1` of an npz, or the number of the folder
    that a file lies in, when all lie in folders side by side.
    """

    count: int
    shape: tuple[int, ...]
    images: Images
    labels: Tensor | None = None


def open_samples(path: Path, channels: int) -> SampleFiles:
    """The samples of a file or folder, with 1 or 3 channels, in the order of their names.

    Raises ValueError, naming the file, for what is no image and for images of different sizes.
    """
    if not path.exists():
        raise ValueError(f"samples must be a folder, an .npz or a .zip, got {path}, which does not exist")
    if path.suffix == ".npz":
        return of_array(path)
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        names = sorted(name for name in archive.namelist() if Path(name).suffix.lower() in SUFFIXES)
        return of_images(path, names, lambda name: io.BytesIO(archive.read(name)), channels)
    names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    return of_images(path, names, lambda name: io.BytesIO((path / name).read_bytes()), channels)


def of_array(path: Path) -> SampleFiles:
    """`arr_0` of an npz: uint8 [N, H, W, C], or points float [N, 2]; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x = arrays["arr_0"]
            c = arrays.get("arr_1")
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"samples must be an .npz with arr_0, got {path}: {error}") from None
    if x.ndim == 2 and x.shape[1] == 2 and x.dtype.kind == "f":
        return SampleFiles(len(x), (2,), lambda start, stop: torch.from_numpy(x[start:stop]).float(), classes_of(c, x))
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in MODES:
        raise ValueError(f"samples must hold arr_0 uint8 [N, H, W, 1 or 3], got {x.dtype} {list(x.shape)}")
    chw = (x.shape[3], x.shape[1], x.shape[2])
    return SampleFiles(len(x), chw, lambda start, stop: as_tensor(x[start:stop]), classes_of(c, x))


def classes_of(c: NDArray[np.generic] | None, x: NDArray[np.generic]) -> Tensor | None:
    """Class ids int64 [N] of the samples x [N, ...]; None for what are none."""
    whole = c is not None and c.dtype.kind in "iu" and c.shape == x.shape[:1]
    return torch.from_numpy(c.astype(np.int64)) if c is not None and whole else None


def classes_by_folder(names: list[str]) -> Tensor | None:
    """Numbers of the folders, by name, that files lie in: int64 [N]; None unless all lie one folder deep in several."""
    folders = [str(Path(name).parent) for name in names]
    numbers = {folder: i for i, folder in enumerate(sorted(set(folders)))}
    deep = all(len(Path(name).parts) == 2 for name in names)
    return torch.tensor([numbers[folder] for folder in folders]) if deep and len(numbers) > 1 else None


def of_images(path: Path, names: list[str], read: Callable[[str], io.BytesIO], channels: int) -> SampleFiles:
    """Image files, decoded when they are asked for."""
    if not names:
        raise ValueError(f"samples must hold images ({', '.join(sorted(SUFFIXES))}), got none in {path}")
    height, width = decoded(read(names[0]), names[0], channels).shape[:2]

    def images(start: int, stop: int) -> Tensor:
        return as_tensor(np.stack([whole(name) for name in names[start:stop]]))

    def whole(name: str) -> NDArray[np.uint8]:
        pixels = decoded(read(name), name, channels)
        if pixels.shape[:2] != (height, width):
            size = f"{pixels.shape[0]}x{pixels.shape[1]}"
            raise ValueError(f"samples must all be {height}x{width} as {names[0]} is, got {name} with {size}")
        return pixels

    return SampleFiles(len(names), (channels, height, width), images, classes_by_folder(names))


def decoded(file: io.BytesIO, name: str, channels: int) -> NDArray[np.uint8]:
    """An image uint8 [H, W, C]."""
    try:
        with Image.open(file) as image:
            if image.mode not in KNOWN:
                raise ValueError(f"samples must have 8 bits a channel, got {name} of mode {image.mode}")
            pixels = np.asarray(image.convert(MODES[channels]))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"samples must be images, got {name}: {error}") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def as_tensor(x: NDArray[np.uint8]) -> Tensor:
    """[N, H, W, C] -> [N, C, H, W]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
