"""Collections of images: a folder, a .zip, an .npz or an .npy, for training and for scores alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantry.data import decoding
from gantry.data.archives import DATASET_JSON, MAX_MEMBER_BYTES, ZipFolder
from gantry.data.arrays import ArrayFile, open_array
from gantry.data.class_names import ClassLabels, label_by_array, label_by_dataset_json, label_by_folder
from gantry.data.decoding import EncodedImage, ImageHeader
from gantry.data.folder_index import COLLECTION_RULE, FolderWalk, sort_names
from gantry.distributed import collectives
from gantry.errors import UserError, format_on_one_line, to_printable
from gantry.values import list_first

log = logging.getLogger(__name__)
_MAX_LISTED_FOLDERS = 5


class ImageStore(Protocol):
    """A place where image files lie."""

    def open(self, name: str, /) -> EncodedImage:
        """Return an image file by its name."""

    def get_stamp(self, name: str, /) -> tuple[int, int]:
        """Return facts that change with the content of a file."""


@dataclass(frozen=True)
class Folder:
    """Image files on the disk."""

    path: Path

    def open(self, name: str) -> Path:
        return self.path / name

    def get_stamp(self, name: str) -> tuple[int, int]:
        stat = (self.path / name).stat()
        return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class EncodedImages:
    """Image files `names` of a folder or an archive at `path`, in the order of their names.

    `labels` are their classes, None where there are none; `unlabelled` says why.
    """

    path: Path
    store: ImageStore = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    labels: ClassLabels | None = field(default=None, repr=False)
    unlabelled: str = "images without classes"

    def read_header(self, i: int, channels: int) -> ImageHeader:
        """Return the facts about image i without decoding it; raises any error of Pillow."""
        return decoding.read_image_header(self.store.open(self.names[i]), channels)

    def decode(self, i: int, shape: Sequence[int], bits: int = 8) -> NDArray[np.generic]:
        """Return image i, cropped and resized: uint8 `shape`, or float32 in [-1, 1] with 16 bits."""
        return decoding.decode_image(self.store.open(self.names[i]), shape, bits)

    def decode_pixels(self, i: int, channels: int) -> NDArray[np.uint8]:
        """Return image i in its own size: uint8 [H, W, channels]."""
        return decoding.decode_pixels(self.store.open(self.names[i]), channels)

    def get_stamp(self, i: int) -> tuple[int, int]:
        """Return facts that change with the content of image i."""
        return self.store.get_stamp(self.names[i])


@dataclass(frozen=True)
class ArrayImages:
    """Images of one array, uint8 or uint16 [N, H, W, C], called by their numbers; see `EncodedImages`."""

    path: Path
    array: ArrayFile
    labels: ClassLabels | None = field(default=None, repr=False)
    unlabelled: str = "images without classes"

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self.array.shape[0]))

    @cached_property
    def _stamp(self) -> tuple[int, int]:
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    @property
    def channels(self) -> int:
        """The number of channels of the array."""
        return self.array.shape[3]

    def read_header(self, i: int, channels: int) -> ImageHeader:  # noqa: ARG002
        """Return the facts about image i, which all images share."""
        _, height, width, _ = self.array.shape
        return ImageHeader(height, width, frozenset({"16 bits to 8"} if self.array.dtype == np.uint16 else ()))

    def decode(self, i: int, shape: Sequence[int], bits: int = 8) -> NDArray[np.generic]:
        """Return image i, cropped and resized: uint8 `shape`, or float32 in [-1, 1] with 16 bits."""
        pixels = self.array.read(i, i + 1)[0]
        channels = pixels.shape[2]
        if channels == shape[0] and (channels not in decoding.CHANNEL_MODES or pixels.dtype == np.uint16):
            return decoding.fit_array(pixels, shape, bits)
        pixels = decoding.to_uint8_levels(pixels)
        return decoding.fit_image(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels), shape, bits)

    def read_pixels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return images start to stop - 1 in their own size: uint8 [n, H, W, C]."""
        return decoding.to_uint8_levels(self.array.read(start, stop))

    def get_stamp(self, i: int) -> tuple[int, int]:  # noqa: ARG002
        """Return facts that change with the content of the file, as it was at the first call."""
        return self._stamp


ImageCollection = EncodedImages | ArrayImages


def open_collection(path: Path, key: str) -> ImageCollection | ArrayFile:
    """Return the images at a path, or the array of a file whose numbers are no images.

    Raises UserError, naming the configuration key, for what is no collection and for folders that cannot be read.
    """
    if not path.exists():
        raise UserError(f"{key} must be {COLLECTION_RULE}, got {path}, which does not exist")
    suffix = path.suffix.lower()
    if path.is_file() and suffix in (".npz", ".npy"):
        array = open_array(path, key)
        is_image = len(array.shape) == 4 and array.dtype in (np.uint8, np.uint16)
        return _make_array_images(array) if is_image else array
    if path.is_file() and suffix == ".zip":
        return _open_zip(path, key)
    if not path.is_dir():
        raise UserError(f"{key} must be {COLLECTION_RULE}, got {path}")
    return _open_folder(path, key)


def _open_folder(path: Path, key: str) -> EncodedImages:
    walk = FolderWalk(path)
    names = sort_names(walk)
    for name, reason in walk.unreadable.items():
        raise UserError(f"{key} must be a folder that can be read, got {path} with {to_printable(name)}: {reason}")
    if walk.skipped and collectives.rank() == 0:
        links = [f"{to_printable(name)} ({reason})" for name, reason in walk.skipped.items()]
        log.warning("%s: folders that are read once: %s", path, list_first(links, _MAX_LISTED_FOLDERS))
    try:
        dataset_json = _read_dataset_json(path / DATASET_JSON)
    except (OSError, ValueError) as error:
        reason = f"{DATASET_JSON}: {format_on_one_line(error)}"
        raise UserError(f"{key} must be a folder that can be read, got {path} with {reason}") from None
    return _label_files(path, Folder(path), names, dataset_json, key)


def _read_dataset_json(path: Path) -> bytes | None:
    """Return StyleGAN's file of classes, None if there is none. Raises ValueError for a large one, as in archives."""
    if not path.is_file():
        return None
    if (size := path.stat().st_size) > MAX_MEMBER_BYTES:
        raise ValueError(f"it has {size} bytes, more than {MAX_MEMBER_BYTES}")
    return path.read_bytes()


def _open_zip(path: Path, key: str) -> EncodedImages:
    archive = ZipFolder(path)
    names = archive.list_images(key)
    try:
        dataset_json = archive.read_dataset_json()
    except Exception as error:  # anything that zipfile and its decoders raise
        raise UserError(f"{key} must be a whole .zip of image files, got {path} with {DATASET_JSON}: {error}") from None
    return _label_files(path, archive, names, dataset_json, key)


def _label_files(
    path: Path, store: ImageStore, names: Sequence[str], dataset_json: bytes | None, key: str
) -> EncodedImages:
    if not names:
        raise UserError(f"{key} must be {COLLECTION_RULE}, got {path} without any")
    if dataset_json is None:
        return EncodedImages(path, store, tuple(names), label_by_folder(names))
    try:
        return EncodedImages(path, store, tuple(names), label_by_dataset_json(dataset_json, names))
    except ValueError as error:
        return EncodedImages(path, store, tuple(names), None, str(error))


def _make_array_images(array: ArrayFile) -> ArrayImages:
    labels, reason = label_array(array)
    return ArrayImages(array.path, array, labels, reason or ArrayImages.unlabelled)


def label_array(array: ArrayFile) -> tuple[ClassLabels | None, str]:
    """Return the classes of the rows of an array, None where there are none; the reason where arr_1 has no classes."""
    try:
        return (None if array.labels is None else label_by_array(array.labels, array.shape[0])), ""
    except ValueError as error:
        return None, f"arr_1 {error}"
