"""Read images, or points, that lie in one array of an .npz or .npy, piece by piece; nothing is unpickled."""

import math
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gantry.errors import UserError, format_on_one_line

IMAGES_MEMBER, LABELS_MEMBER = "arr_0.npy", "arr_1.npy"
_MAX_LABEL_BYTES = 2**31  # of arr_1, unpacked
_READ_ERRORS = (KeyError, ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, SyntaxError)
_STREAM_LOCK = Lock()


@dataclass(frozen=True)
class ArrayFile:
    """An array [N, ...] in a file: `offset` bytes behind its start, None where it is compressed."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    labels: NDArray[Any] | None = None
    _streams: dict[int, tuple[IO[bytes], int]] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_streams": {}}

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start to stop - 1. Raises UserError for a file that is damaged there."""
        rows = range(self.shape[0])[start:stop]
        try:
            return self._read_stream(rows) if self.offset is None else self._read_at(self.offset, rows)
        except _READ_ERRORS as error:
            raise _make_error(self.key, self.path, format_on_one_line(error)) from None

    def _read_at(self, offset: int, rows: range) -> NDArray[Any]:
        """Read at an offset: a mapping of the file for each row would take longer than the row."""
        row = math.prod(self.shape[1:])
        offset += rows.start * row * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, len(rows) * row, offset=offset).reshape(len(rows), *self.shape[1:])

    def _read_stream(self, rows: range) -> NDArray[Any]:
        """Unpack on from where the last call ended, or from the beginning for rows before that."""
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        with _STREAM_LOCK:
            pid = os.getpid()  # a forked process would share the position in the file
            if pid not in self._streams:
                self._streams[pid] = _open_stream(self.path)
            file, first = self._streams[pid]
            file.seek(first + rows.start * row)
            data = file.read(len(rows) * row)
        return np.frombuffer(data, self.dtype).reshape(len(rows), *self.shape[1:]).copy()


def open_array(path: Path, key: str) -> ArrayFile:
    """Return `arr_0` of an .npz with the classes `arr_1`, or the array of an .npy.

    Raises UserError, naming the configuration key, for a file that is none.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                shape, dtype = _read_npy_header(file)
                _check_size(path.stat().st_size - file.tell(), shape, dtype)
                return ArrayFile(path, key, shape, dtype, file.tell())
        return _open_npz(path, key)
    except _READ_ERRORS as error:
        reason = "a file without arr_0" if isinstance(error, KeyError) else format_on_one_line(error)
        raise _make_error(key, path, reason) from None


def _make_error(key: str, path: Path, reason: str) -> UserError:
    rule = "an .npy with one array" if path.suffix.lower() == ".npy" else "an .npz with arr_0"
    return UserError(f"{key} must be {rule}, got {path}: {reason}")


def _open_npz(path: Path, key: str) -> ArrayFile:
    with path.open("rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("this is a single array, an .npy by another name")
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(IMAGES_MEMBER)
        if archive.namelist().count(IMAGES_MEMBER) > 1:
            raise ValueError("arr_0 is there twice")
        with archive.open(member) as file:
            shape, dtype = _read_npy_header(file)
            _check_size(member.file_size - file.tell(), shape, dtype)
            header = file.tell()
        is_stored = member.compress_type == zipfile.ZIP_STORED
        offset = _find_data(path, member) + header if is_stored else None
        return ArrayFile(path, key, shape, dtype, offset, _read_labels(archive))


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an .npy and leave the file at its first number."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
    except _READ_ERRORS:
        raise
    except Exception as error:  # NumPy parses the header as Python source: tokenize.TokenError and others
        raise ValueError(f"a header that cannot be read ({type(error).__name__})") from None
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which is not unpickled")
    if is_fortran and len(shape) > 1:
        raise ValueError("an array in Fortran order (numpy.ascontiguousarray makes it one in C order)")
    return shape, dtype


def _check_size(num_bytes: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if num_bytes < math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{num_bytes} bytes are too few for {dtype} {list(shape)}")


def _find_data(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin: behind a header of its own, which says how long its name is."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(30)
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _read_labels(archive: zipfile.ZipFile) -> NDArray[Any] | None:
    if LABELS_MEMBER not in archive.NameToInfo:
        return None
    if archive.getinfo(LABELS_MEMBER).file_size > _MAX_LABEL_BYTES:
        raise ValueError(f"arr_1 has more than {_MAX_LABEL_BYTES} bytes")
    with archive.open(LABELS_MEMBER) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _open_stream(path: Path) -> tuple[IO[bytes], int]:
    file = zipfile.ZipFile(path).open(IMAGES_MEMBER)  # noqa: SIM115 (it stays open for the next rows)
    _read_npy_header(file)
    return file, file.tell()
