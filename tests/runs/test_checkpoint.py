"""A checkpoint with any byte wrong, any part missing or anything added is noticed."""

import zipfile
from pathlib import Path

import pytest
import torch

from gantry.callbacks.checkpoints import InPlaceCheckpointIO
from gantry.runs.checkpoint import TAIL_BYTES, find_damage, seal_archive

STATE = {"x": torch.arange(6.0), "turn": 3}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    InPlaceCheckpointIO().save_checkpoint(STATE, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_a_sealed_checkpoint_is_one_that_torch_reads(path: Path) -> None:
    assert find_damage(path) == ""
    for mapped in (False, True):
        torch.testing.assert_close(torch.load(path, weights_only=True, mmap=mapped), STATE)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.comment) == TAIL_BYTES - 2


def test_any_damaged_byte_is_detected(path: Path) -> None:
    """But for those of the mark, without which the archive, being whole, is judged by itself."""
    data = path.read_bytes()
    for i in range(len(data)):
        path.write_bytes(data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :])
        if find_damage(path) == "":
            assert data[i : i + 1] in b"sha256:"
            torch.testing.assert_close(torch.load(path, weights_only=True), STATE)


@pytest.mark.parametrize("count", [0, 1, 21, TAIL_BYTES, TAIL_BYTES + 1, 500])
def test_missing_and_additional_entries_are_refused(path: Path, count: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:count])
    assert find_damage(path)
    path.write_bytes(data[: -count - 1])
    assert find_damage(path)
    path.write_bytes(data[: len(data) // 2] + b"x" + data[len(data) // 2 :])
    assert find_damage(path) == "its checksum is wrong"


def test_without_a_seal_the_checksums_of_the_archive_are_checked(path: Path) -> None:
    torch.save({"x": torch.arange(1000.0)}, path)
    assert find_damage(path) == ""
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert find_damage(path) == "last/data/0 is damaged"


def test_a_compressed_archive_is_refused_without_unpacking_it(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("last/data.pkl", bytes(1 << 20))
    assert find_damage(path) == "it is compressed, which torch does not write"


def test_a_sealed_archive_that_is_compressed_is_refused_too(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("last/data.pkl", bytes(1 << 20))
    path.write_bytes(b"".join(seal_archive(memoryview(path.read_bytes()))))
    assert find_damage(path) == "it is compressed, which torch does not write"
