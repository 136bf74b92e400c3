"""The image files of a folder, their classes and which are held out. Needs neither torch nor Pillow."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")


def check_image_folder(root: str) -> None:
    """Raises ValueError where `root` is no folder with an image file in it; stops at the first one found."""
    folder = Path(root).expanduser()
    if next(_iter_image_files(folder), None) is None:
        found = "without any" if folder.is_dir() else "which is a file" if folder.exists() else "which does not exist"
        rule = f"a folder with images ({' '.join(IMAGE_SUFFIXES)})"
        raise ValueError(f"data.source.root must be {rule}, got '{folder}' {found}")


def list_image_files(root: str) -> list[str]:
    """All image files below `root`: names relative to it, with "/", sorted."""
    return sorted(_iter_image_files(Path(root).expanduser()), key=_normalize_unicode)


def _iter_image_files(folder: Path) -> Iterator[str]:
    """Hidden files and folders are passed over, and so are links to folders, which may run in circles."""
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield Path(path, name).relative_to(folder).as_posix()


def find_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """The top folders, by value where all are numbers, else by name; () where an image lies in none of them: such a
    set has no classes."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    numbers = all(top.isdecimal() for top in tops)
    return () if "" in tops else tuple(sorted(tops, key=int if numbers else _normalize_unicode))


def assign_class_ids(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The number of each image's class; zeros where there are no classes."""
    ids = {name: i for i, name in enumerate(classes)}
    return [ids[name.partition("/")[0]] if classes else 0 for name in names]


def is_held_out(name: str, share: float) -> bool:
    """Whether an image is of the test split: by a hash of its name, so that new files move no old one."""
    digest = hashlib.sha256(_normalize_unicode(name).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _normalize_unicode(name: str) -> str:
    """One spelling of accents: systems differ in how they store "é"."""
    return unicodedata.normalize("NFC", name)
