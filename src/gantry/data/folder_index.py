"""List the image files of a folder and the held-out ones, without torch, NumPy or Pillow."""

import hashlib
import os
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
ARCHIVE_SUFFIXES = (".zip", ".npz", ".npy")
COLLECTION_RULE = f"a folder with images ({' '.join(IMAGE_SUFFIXES)}), a .zip of them, an .npz or an .npy"


def check_image_folder(root: str) -> None:
    """Raise ValueError unless `root` is an archive or a folder with an image file in it; stops at the first one."""
    path = Path(root).expanduser()
    if path.is_file() and path.suffix.lower() in ARCHIVE_SUFFIXES:
        return
    if next(iter(FolderWalk(path)), None) is None:
        raise ValueError(f"data.source.root must be {COLLECTION_RULE}, got '{path}' {describe_missing_images(path)}")


def describe_missing_images(path: Path) -> str:
    """Return the reason why there are no images at a path."""
    return "without any" if path.is_dir() else "which is a file" if path.exists() else "which does not exist"


@dataclass
class FolderWalk:
    """Iterate over the image files below `root`, by names relative to it with "/"; hidden files are left out.

    Links to folders are followed once: a folder that can be reached in several ways is read under its own name, or
    under the first of the links. `skipped` says which links are left out, and why; `unreadable` which folders cannot
    be read. What looks like an image and is a pipe, a device or a link to nothing is listed: opening it is an error.
    """

    root: Path
    skipped: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        folders, links, visited = [""], deque[str](), dict[tuple[int, int], str]()
        while folders or links:
            folder = folders.pop() if folders else links.popleft()
            if not self._enter(folder, visited):
                continue
            for entry in self._scan(folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                if is_hidden(entry.name):
                    continue
                if _is_folder(entry):
                    (links if entry.is_symlink() else folders).append(name)
                elif is_image_name(entry.name):
                    yield name

    def _enter(self, folder: str, visited: dict[tuple[int, int], str]) -> bool:
        """Return True for a folder that was not read before, under whatever name."""
        path = self.root / folder
        try:
            stat = path.stat()
        except OSError:
            return False
        if folder and path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
            self.skipped[folder] = "a link to a folder that it lies in"
            return False
        key = (stat.st_dev, stat.st_ino)
        if key in visited:
            self.skipped[folder] = f"the same folder as {visited[key] or '.'}"
            return False
        visited[key] = folder
        return True

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except NotADirectoryError:
            return []
        except OSError as error:
            self.unreadable[folder or "."] = error.strerror or type(error).__name__
            return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False


def sort_names(names: Iterable[str]) -> list[str]:
    """Sort names as every collection of images is sorted."""
    return sorted(names, key=normalize_unicode)


def is_image_name(name: str) -> bool:
    """Return True if a name ends as that of an image does, in either case."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Return True if any part of a name is hidden or a folder of resource forks of macOS."""
    parts = [part for part in name.split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def is_held_out(name: str, share: float) -> bool:
    """Return True if an image belongs to the test split: by a hash of its name, so that new files move no old one."""
    digest = hashlib.sha256(normalize_unicode(name).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def normalize_unicode(name: str) -> str:
    """Normalise a name to NFC: operating systems store "é" in different ways."""
    return unicodedata.normalize("NFC", name)
