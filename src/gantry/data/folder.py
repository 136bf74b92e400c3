"""A folder of the user's own images: any size, any mode, with or without a folder for each class."""

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

log = logging.getLogger(__name__)
_MAX_LISTED_FILES = 5  # broken files that are named; the others are counted


@dataclass(frozen=True)
class ImageFolder(DataSource):
    """All images below the folder `root`, each cut to `shape` = (1 or 3, height, width).

    The share `test_share` of them is held out, chosen by name, so that images that are added move no other.
    Up to `memory_limit` megabytes of decoded images live in memory; larger sets stay on the disk and are
    decoded by `workers` processes. Broken files are left out and reported; ValueError where fewer than
    `min_images` remain.
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
        out = {name: is_held_out(name, self.test_share) for name in names}
        train, broken = read([name for name in names if not out[name]], classes)
        test, others = read([name for name in names if out[name]], classes)
        self._report_broken_files(broken | others, len(names))
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

        broken = self._read_files(names, read)
        good = [i for i, name in enumerate(names) if name not in broken]
        c = torch.tensor(assign_class_ids(names, classes), dtype=torch.int64)
        return InMemoryImages(torch.from_numpy(x[good] if broken else x), c[good]), broken

    def _index_on_disk(self, names: Sequence[str], classes: Sequence[str]) -> tuple[Split, dict[str, str]]:
        broken = self._read_files(names, lambda _, path: check_image_header(path))
        good = tuple(name for name in names if name not in broken)
        c = torch.tensor(assign_class_ids(good, classes), dtype=torch.int64)
        return ImageFiles(self._root_path, good, c, tuple(self.shape), self.workers), broken

    def _read_files(self, names: Sequence[str], read: Callable[[int, Path], None]) -> dict[str, str]:
        broken = read_files_parallel([self._root_path / name for name in names], read)
        return {names[i]: why for i, why in sorted(broken.items())}

    def _report_broken_files(self, broken: dict[str, str], total: int) -> None:
        """Say which files are broken; raises ValueError where too few images are left."""
        shown = ", ".join(f"{name} ({why})" for name, why in list(broken.items())[:_MAX_LISTED_FILES])
        more = f" and {len(broken) - _MAX_LISTED_FILES} more" if len(broken) > _MAX_LISTED_FILES else ""
        said = f"{len(broken)} of {total} files cannot be read: {shown}{more}" if broken else "none is broken"
        if total - len(broken) < self.min_images:
            rule = f"a folder with at least {self.min_images} readable images (data.source.min_images)"
            found = f"with {total - len(broken)}"
            raise ValueError(f"data.source.root must be {rule}, got '{self._root_path}' {found}; {said}")
        if broken and collectives.rank() == 0:
            log.warning("%s: %s; training goes on without them", self._root_path, said)
