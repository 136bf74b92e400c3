"""List the image files of a folder, their classes and the held-out ones, without torch or Pillow."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")


def check_image_folder(root: str) -> None:
    """Raise ValueError unless `root` is a folder with an image file in it; stops at the first one."""
    folder = Path(root).expanduser()
    if next(_iter_image_files(folder), None) is None:
        problem = "without any" if folder.is_dir() else "which is a file" if folder.exists() else "which does not exist"
        rule = f"a folder with images ({' '.join(IMAGE_SUFFIXES)})"
        raise ValueError(f"data.source.root must be {rule}, got '{folder}' {problem}")


def list_image_files(root: str) -> list[str]:
    """Return all image files below `root`: sorted names relative to it, with "/"."""
    return sorted(_iter_image_files(Path(root).expanduser()), key=_normalize_unicode)


def _iter_image_files(folder: Path) -> Iterator[str]:
    """Yield image files, skipping hidden files and folders, and links to folders, which may form cycles."""
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield Path(path, name).relative_to(folder).as_posix()


def find_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the top folders, in numeric order if all are numbers, else by name; () if an image lies outside them."""
    folders = {name.partition("/")[0] if "/" in name else "" for name in names}
    numeric = all(folder.isdecimal() for folder in folders)
    return () if "" in folders else tuple(sorted(folders, key=int if numeric else _normalize_unicode))


def assign_class_ids(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the class id of each image; zeros without classes."""
    ids = {name: i for i, name in enumerate(classes)}
    return [ids[name.partition("/")[0]] if classes else 0 for name in names]


def is_held_out(name: str, share: float) -> bool:
    """Return True if an image belongs to the test split: by a hash of its name, so that new files move no old one."""
    digest = hashlib.sha256(_normalize_unicode(name).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _normalize_unicode(name: str) -> str:
    """Normalise a name to NFC: operating systems store "é" in different ways."""
    return unicodedata.normalize("NFC", name)
