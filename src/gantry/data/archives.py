"""Read the image files of a .zip in memory: nothing is unpacked to the disk, and no member can be of unbounded size."""

import io
import os
import stat
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from gantry.data.folder_index import is_hidden, is_image_name, sort_names
from gantry.errors import UserError, format_on_one_line, to_printable

DATASET_JSON = "dataset.json"  # StyleGAN's, with the classes
MAX_MEMBER_BYTES = 2**28  # of one file in an archive, unpacked


@dataclass(frozen=True)
class ZipFolder:
    """An archive of image files, read by any number of threads and processes.

    Their names have "/" between folders; those that an old program for Windows wrote have "\\" in the archive.
    """

    path: Path
    _handles: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_handles": {}}

    def list_images(self, key: str) -> list[str]:
        """Return the names of the images, sorted; without hidden files and resource forks of macOS.

        Raises UserError, naming the configuration key, for what is no archive and for names that are links, are there
        twice or lead out of the archive.
        """
        rule = f"{key} must be a whole .zip of image files"
        try:
            members = self._archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise UserError(f"{rule}, got {self.path}: {format_on_one_line(error)}") from None
        images = [(name, member) for member in members if _is_image(name := _make_name(member.filename))]
        counts = Counter(name for name, _ in images)
        for name, member in images:
            if problem := _find_problem(name, member, counts[name]):
                raise UserError(f"{rule}, got {self.path} with {to_printable(name)}, {problem}")
        return sort_names(counts)

    def read(self, name: str) -> bytes:
        """Return the bytes of a member. Raises ValueError for one that is encrypted or too large."""
        archive = self._archive
        member = self._get_member(name)
        if member.flag_bits & 1:
            raise ValueError("it is encrypted")
        if member.file_size > MAX_MEMBER_BYTES:
            raise ValueError(f"unpacked it has {member.file_size} bytes, more than {MAX_MEMBER_BYTES}")
        return archive.read(member)

    def open(self, name: str) -> io.BytesIO:
        """Return a member as a file in memory."""
        return io.BytesIO(self.read(name))

    def read_dataset_json(self) -> bytes | None:
        """Return StyleGAN's file of classes, None if there is none."""
        has_one = DATASET_JSON in self._archive.NameToInfo
        return self.read(DATASET_JSON) if has_one else None

    @property
    def _archive(self) -> zipfile.ZipFile:
        """The open archive of this process: a forked one would share the position in the file."""
        pid = os.getpid()
        return self._handles.get(pid) or self._handles.setdefault(pid, zipfile.ZipFile(self.path))

    def get_stamp(self, name: str) -> tuple[int, int]:
        """Return facts that change with the content of a member: its size and checksum."""
        member = self._get_member(name)
        return member.file_size, member.CRC

    def _get_member(self, name: str) -> zipfile.ZipInfo:
        return self._archive.getinfo(self._other_names.get(name, name))

    @cached_property
    def _other_names(self) -> dict[str, str]:
        """Return the names in the archive that are not those of its images."""
        return {_make_name(name): name for name in self._archive.NameToInfo if name != _make_name(name)}


def _make_name(name: str) -> str:
    return name.replace("\\", "/")


def _is_image(name: str) -> bool:
    return is_image_name(name) and not is_hidden(name)


def _find_problem(name: str, member: zipfile.ZipInfo, count: int) -> str | None:
    """Return the reason why the names of an archive cannot be trusted."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "which leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "which is a symbolic link"
    return f"which is there {count} times" if count > 1 else None
