"""Arrays in files."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry.data.arrays import ArrayFile, open_array
from gantry.data.folder import ImageFolder
from gantry.errors import UserError


@pytest.mark.parametrize("size", [20, 60, 90, 127])
def test_a_header_that_is_cut_off_is_refused_in_one_line(size: int, tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((4, 8, 8, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"^samples must be an \.npy with one array, got .*images\.npy: .+") as error:
        open_array(path, "samples")
    assert "\n" not in str(error.value)


def test_a_header_that_is_no_python_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((4, 8, 8, 3), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"}", b"["))
    with pytest.raises(UserError, match="header"):
        open_array(path, "samples")


def test_an_array_without_images_is_refused_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"^data\.source\.root must be a folder with at least 1 readable images"):
        ImageFolder(str(tmp_path / "images.npy"), (3, 8, 8), 0.2, 1, 100, 0).load()


def test_an_array_that_is_cut_off_later_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, x := np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3))
    array = open_array(path, "samples")
    path.write_bytes(path.read_bytes()[:-1])
    assert np.array_equal(array.read(1, 3), x[1:3])
    with pytest.raises(UserError, match=r"^samples must be an \.npy with one array, got .*images\.npy: .+") as error:
        array.read(3, 4)
    assert "\n" not in str(error.value)


def test_a_compressed_array_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "images.npz", np.zeros((20, 8, 8, 3), np.uint8))
    starts, read = [], ArrayFile.read

    def read_slowly(array: ArrayFile, start: int, stop: int) -> NDArray[Any]:
        time.sleep(0.05 if start == 0 else 0)  # a second thread would overtake it
        starts.append(start)
        return read(array, start, stop)

    monkeypatch.setattr(ArrayFile, "read", read_slowly)
    ImageFolder(str(tmp_path / "images.npz"), (3, 8, 8), 0, 1, 100, 0).load()
    assert starts == list(range(20))
