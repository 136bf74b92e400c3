"""A folder of the user's own images: any size, any mode, with or without one subfolder per class."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gantry.data.decoding import check_image_header, decode_image, read_files_parallel
from gantry.data.folder_index import (
    assign_class_ids,
    check_image_folder,
    find_class_names,
    is_held_out,
    list_image_files,
)
from gantry.data.image_files import ImageFiles
from gantry.data.images import DataSource, InMemoryImages, RealData, Split
from gantry.distributed import collectives
from gantry.errors import UserError

log = logging.getLogger(__name__)
_MAX_LISTED_FILES = 5  # broken files listed by name; the others are only counted


@dataclass(frozen=True)
class ImageFolder(DataSource):
    """All images below the folder `root`, cropped and resized to `shape` = (1 or 3, height, width).

    The fraction `test_share` of them is held out, chosen by a hash of the name, so that adding images moves no other
    image to another split. Up to `memory_limit` megabytes of decoded images are kept in memory; larger sets are
    decoded by `workers` processes during training. Broken files are skipped and reported; raises UserError if fewer
    than `min_images` remain.
    """

    root: str
    shape: Sequence[int]
    test_share: float
    min_images: int
    memory_limit: float
    workers: int

    def __post_init__(self) -> None:
        if self.shape[0] not in (1, 3):
            raise ValueError(f"data.shape must begin with 1 (grey) or 3 (colour), got {list(self.shape)}")
        if not 0 <= self.test_share < 1:
            raise ValueError(f"data.source.test_share must be at least 0 and below 1, got {self.test_share}")
        for key in ("min_images", "memory_limit", "workers"):
            if getattr(self, key) < 0:
                raise ValueError(f"data.source.{key} must be 0 or more, got {getattr(self, key)}")
        check_image_folder(self.root)

    def load(self) -> RealData:
        names = list_image_files(self.root)
        classes = find_class_names(names)
        read = self._load_in_memory if self._fits_in_memory(len(names)) else self._index_on_disk
        held_out = {name: is_held_out(name, self.test_share) for name in names}
        train, train_errors = read([name for name in names if not held_out[name]], classes)
        test, test_errors = read([name for name in names if held_out[name]], classes)
        self._report_broken_files(train_errors | test_errors, len(names))
        return RealData(self._root_path.name, train, test, classes)

    @property
    def _root_path(self) -> Path:
        return Path(self.root).expanduser().resolve()

    def _fits_in_memory(self, n: int) -> bool:
        return n * math.prod(self.shape) <= self.memory_limit * 1e6

    def _load_in_memory(self, names: Sequence[str], classes: Sequence[str]) -> tuple[Split, dict[str, str]]:
        x = np.empty((len(names), *self.shape), np.uint8)

        def read(i: int, path: Path) -> None:
            x[i] = decode_image(path, self.shape)

        errors = self._read_files(names, read)
        readable = [i for i, name in enumerate(names) if name not in errors]
        c = torch.tensor(assign_class_ids(names, classes), dtype=torch.int64)
        return InMemoryImages(torch.from_numpy(x[readable] if errors else x), c[readable]), errors

    def _index_on_disk(self, names: Sequence[str], classes: Sequence[str]) -> tuple[Split, dict[str, str]]:
        errors = self._read_files(names, lambda _, path: check_image_header(path))
        readable = tuple(name for name in names if name not in errors)
        c = torch.tensor(assign_class_ids(readable, classes), dtype=torch.int64)
        return ImageFiles(self._root_path, readable, c, tuple(self.shape), self.workers), errors

    def _read_files(self, names: Sequence[str], read: Callable[[int, Path], None]) -> dict[str, str]:
        errors = read_files_parallel([self._root_path / name for name in names], read)
        return {names[i]: error for i, error in sorted(errors.items())}

    def _report_broken_files(self, errors: dict[str, str], total: int) -> None:
        """Log which files are broken; raises UserError if too few images are left."""
        listing = ", ".join(f"{name} ({error})" for name, error in list(errors.items())[:_MAX_LISTED_FILES])
        more = f" and {len(errors) - _MAX_LISTED_FILES} more" if len(errors) > _MAX_LISTED_FILES else ""
        summary = f"{len(errors)} of {total} files cannot be read: {listing}{more}" if errors else "none is broken"
        if total - len(errors) < self.min_images:
            rule = f"a folder with at least {self.min_images} readable images (data.source.min_images)"
            count = total - len(errors)
            raise UserError(f"data.source.root must be {rule}, got '{self._root_path}' with {count}; {summary}")
        if errors and collectives.rank() == 0:
            log.warning("%s: %s. Training continues without them", self._root_path, summary)
