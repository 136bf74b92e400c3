"""Read the image files of a .zip in memory: nothing is unpacked to the disk, and no member can be of unbounded size."""

import io
import os
import stat
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gantry.data.folder_index import is_hidden, is_image_name, sort_names, to_printable
from gantry.errors import UserError, format_on_one_line

DATASET_JSON = "dataset.json"  # StyleGAN's, with the classes
MAX_MEMBER_BYTES = 2**28  # of one file in an archive, unpacked


@dataclass(frozen=True)
class ZipFolder:
    """An archive of image files, read by any number of threads and processes."""

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
        images = [member for member in members if _is_image(member.filename.replace("\\", "/"))]
        counts = Counter(member.filename for member in images)
        for member in images:
            if problem := _find_problem(member, counts[member.filename]):
                raise UserError(f"{rule}, got {self.path} with {to_printable(member.filename)}, {problem}")
        return sort_names(member.filename for member in images)

    def read(self, name: str) -> bytes:
        """Return the bytes of a member. Raises ValueError for one that is encrypted or too large."""
        archive = self._archive
        member = archive.getinfo(name)
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
        member = self._archive.getinfo(name)
        return member.file_size, member.CRC


def _is_image(name: str) -> bool:
    return is_image_name(name) and not is_hidden(name)


def _find_problem(member: zipfile.ZipInfo, count: int) -> str | None:
    """Return the reason why the names of an archive cannot be trusted."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        return "which leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "which is a symbolic link"
    return f"which is there {count} times" if count > 1 else None
