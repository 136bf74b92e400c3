"""A checkpoint file that can tell whether it is whole: torch's zip archive, with a digest of its bytes as its comment.

The checksums of the archive itself cover its contents but not their headers, and there is a byte in those that makes
torch read other numbers without a word.
"""

import hashlib
import logging
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gantry.errors import UserError
from gantry.runs.layout import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT, checkpoint_path

log = logging.getLogger(__name__)

DIGEST_PREFIX = b"sha256:"

COMMENT_BYTES = len(DIGEST_PREFIX) + hashlib.sha256().digest_size

TAIL_BYTES = 2 + COMMENT_BYTES  # of a sealed file: the length of the comment, and the comment

COMMENT_LENGTH = struct.pack("<H", COMMENT_BYTES)

READ_BYTES = 1 << 20

# what zipfile raises, depending on which byte is wrong
ZIP_ERRORS = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error, struct.error)


def seal_archive(archive: memoryview) -> Iterator[bytes | memoryview]:
    """Yield the parts of the sealed file of a zip archive without a comment, whose last two bytes say so."""
    yield archive[:-2]
    yield COMMENT_LENGTH + DIGEST_PREFIX + hashlib.sha256(archive[:-2]).digest()


def find_damage(path: Path) -> str:
    """Return the damage of a checkpoint, "" if it is intact. One without a seal is judged as a zip archive."""
    try:
        with path.open("rb") as file:
            body = file.seek(0, 2) - TAIL_BYTES
            file.seek(max(body, 0))
            tail = file.read()
            if DIGEST_PREFIX in tail:  # wherever: a seal that is cut off is one that is wrong
                file.seek(0)
                digest = hashlib.sha256()
                while piece := file.read(min(READ_BYTES, body - file.tell())):
                    digest.update(piece)
                if tail != COMMENT_LENGTH + DIGEST_PREFIX + digest.digest():
                    return "its checksum is wrong"
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                return "it is compressed, which torch does not write"  # a few bytes could stand for terabytes
            damaged = None if DIGEST_PREFIX in tail else archive.testzip()
    except ZIP_ERRORS as error:
        return str(error)
    return f"{damaged} is damaged" if damaged else ""


def has_checkpoint(folder: Path) -> bool:
    """Return True if there is a state to resume from."""
    return any(checkpoint_path(folder, name).is_file() for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT))


def verify_checkpoint(path: Path, key: str = "resume", wanted: str = "the folder of a run with a checkpoint") -> Path:
    """Return the path, once every byte of the checkpoint has been checked against its checksums.

    `key` is what the user named it by, and `wanted` what that must be. Raises UserError.
    """
    if not path.is_file():
        raise UserError(f"{key} must be {wanted}, got {path}, which does not exist")
    if why := find_damage(path):
        raise UserError(f"checkpoint must be whole, got {path}: {why}")
    return path


def find_newest_checkpoint(folder: Path) -> Path:
    """Return the last checkpoint or, with a warning, its predecessor if it is damaged. Raises UserError."""
    path, why = find_newest_intact_checkpoint(folder)
    if why:
        log.warning("%s. Resuming from the previous checkpoint %s", why, path)
    return path


def find_newest_intact_checkpoint(folder: Path) -> tuple[Path, str]:
    """Return the last checkpoint of a run that is whole, and what is wrong with the one after it. Raises UserError."""
    last, before = (checkpoint_path(folder, name) for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT))
    try:
        return verify_checkpoint(last), ""
    except ValueError as error:
        if not before.is_file():
            raise
        if why := find_damage(before):
            raise UserError(f"{error}, and the one before, {before}: {why}") from None
        return before, str(error)
