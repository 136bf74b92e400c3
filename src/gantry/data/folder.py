"""The user's own images: any size, any mode, with or without classes, in a folder, a .zip, an .npz or an .npy."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gantry.data.arrays import ArrayFile
from gantry.data.collection import ArrayImages, ImageCollection, open_collection
from gantry.data.decoding import CHANNEL_MODES, read_parallel
from gantry.data.folder_index import ARCHIVE_SUFFIXES, check_image_folder, is_held_out
from gantry.data.image_files import ImageFiles
from gantry.data.images import DataSource, InMemoryImages, RealData, Split
from gantry.distributed import collectives
from gantry.errors import UserError, to_printable
from gantry.values import list_first

log = logging.getLogger(__name__)
ROOT_KEY = "data.source.root"
_MAX_LISTED_FILES = 5  # broken files listed by name; the others are only counted


@dataclass(frozen=True)
class ImageFolder(DataSource):
    """All images in the folder or archive `root`, cropped and resized to `shape` = (channels, height, width).

    The fraction `test_share` of them is held out, chosen by a hash of the name, so that adding images moves no other
    image to another split. Up to `memory_limit` megabytes of decoded images are kept in memory; larger sets are
    decoded by `workers` processes during training. Broken files are skipped and reported; raises UserError if fewer
    than `min_images` remain. With 16 `bits` the levels of 16-bit grey files and arrays reach the nets.
    """

    root: str
    shape: Sequence[int]
    test_share: float
    min_images: int
    memory_limit: float
    workers: int
    bits: int = 8

    def __post_init__(self) -> None:
        is_array = Path(self.root).suffix.lower() in ARCHIVE_SUFFIXES[1:]
        if len(self.shape) != 3 or (self.shape[0] not in CHANNEL_MODES and not is_array):
            rule = "1 (grey), 2 (grey and opacity), 3 (colour) or 4 (colour and opacity)"
            raise ValueError(f"data.shape must begin with {rule}, got {list(self.shape)}")
        if not 0 <= self.test_share < 1:
            raise ValueError(f"data.source.test_share must be at least 0 and below 1, got {self.test_share}")
        if self.bits not in (8, 16):
            raise ValueError(f"data.source.bits must be 8 or 16, got {self.bits}")
        for key in ("min_images", "memory_limit", "workers"):
            if getattr(self, key) < 0:
                raise ValueError(f"data.source.{key} must be 0 or more, got {getattr(self, key)}")
        check_image_folder(self.root)

    def load(self) -> RealData:
        collection = self._open()
        c, classes = np.zeros(len(collection.names), np.int64), tuple[str, ...]()
        if collection.labels is not None:
            c, classes = collection.labels.ids, collection.labels.names
        read = self._load_in_memory if self._fits_in_memory(len(collection.names)) else self._index_on_disk
        held_out = np.array([is_held_out(name, self.test_share) for name in collection.names], bool)
        train, train_errors = read(collection, (~held_out).nonzero()[0], c)
        test, test_errors = read(collection, held_out.nonzero()[0], c)
        self._report_broken_files(train_errors | test_errors, len(collection.names))
        return RealData(self._root_path.name, train, test, classes)

    def _open(self) -> ImageCollection:
        collection = open_collection(Path(self.root).expanduser().absolute(), ROOT_KEY)
        if isinstance(collection, ArrayFile):
            got = f"{collection.dtype} {list(collection.shape)}"
            raise UserError(f"{ROOT_KEY} must hold images uint8 or uint16 [N, H, W, C], got {got}")
        stored = collection.channels if isinstance(collection, ArrayImages) else self.shape[0]
        if stored != self.shape[0] and {stored, self.shape[0]} - set(CHANNEL_MODES):
            rule = f"{stored}, the channels of {self._root_path.name}"
            raise UserError(f"data.shape must begin with {rule}, got {list(self.shape)}")
        return collection

    @property
    def _root_path(self) -> Path:
        return Path(self.root).expanduser().resolve()

    def _fits_in_memory(self, n: int) -> bool:
        return n * math.prod(self.shape) * (1 if self.bits == 8 else 4) <= self.memory_limit * 1e6

    def _load_in_memory(
        self, collection: ImageCollection, index: np.ndarray, c: np.ndarray
    ) -> tuple[Split, dict[str, str]]:
        x = np.empty((len(index), *self.shape), np.uint8 if self.bits == 8 else np.float32)

        def read(i: int) -> None:
            x[i] = collection.decode(int(index[i]), self.shape, self.bits)

        errors = read_parallel(len(index), read, threads=1 if _is_compressed(collection) else None)
        readable, labels, named_errors = _label_readable(collection, index, c, errors)
        return InMemoryImages(torch.from_numpy(x[readable] if errors else x), labels), named_errors

    def _index_on_disk(
        self, collection: ImageCollection, index: np.ndarray, c: np.ndarray
    ) -> tuple[Split, dict[str, str]]:
        if _is_compressed(collection):
            rule = "uncompressed (numpy.savez) beyond data.source.memory_limit"
            raise UserError(f"{ROOT_KEY} must be {rule}, got the compressed '{self._root_path}'")
        errors: dict[int, str] = {}
        if not isinstance(collection, ArrayImages):  # all images of an array share one header
            errors = read_parallel(len(index), lambda i: collection.read_header(int(index[i]), channels=3))
        readable, labels, named_errors = _label_readable(collection, index, c, errors)
        readable_indices = tuple(index[readable].tolist())
        images = ImageFiles(collection, readable_indices, labels, tuple(self.shape), self.workers, self.bits)
        return images, named_errors

    def _report_broken_files(self, errors: dict[str, str], total: int) -> None:
        """Log which files are broken; raises UserError if too few images are left."""
        listing = list_first([f"{name} ({error})" for name, error in errors.items()], _MAX_LISTED_FILES)
        summary = f"{len(errors)} of {total} files cannot be read: {listing}" if errors else "none is broken"
        if total - len(errors) < self.min_images:
            rule = f"a folder with at least {self.min_images} readable images (data.source.min_images)"
            count = total - len(errors)
            raise UserError(f"{ROOT_KEY} must be {rule}, got '{self._root_path}' with {count}; {summary}")
        if errors and collectives.rank() == 0:
            log.warning("%s: %s. Training continues without them", self._root_path, summary)


def _is_compressed(collection: ImageCollection) -> bool:
    """Return True for one compressed array: it is unpacked anew for every image before the last one."""
    return isinstance(collection, ArrayImages) and collection.array.offset is None


def _label_readable(
    collection: ImageCollection, index: np.ndarray, c: np.ndarray, errors: dict[int, str]
) -> tuple[list[int], torch.Tensor, dict[str, str]]:
    """Return which of the images `index` are readable, their classes, and the errors by the names of the others."""
    readable = [i for i in range(len(index)) if i not in errors]
    names = {i: to_printable(collection.names[index[i]]) for i in sorted(errors)}
    return readable, torch.from_numpy(c[index[readable]]), {names[i]: to_printable(errors[i]) for i in names}
