"""Arrays in files."""

from pathlib import Path

import numpy as np
import pytest

from gantry.data.arrays import open_array
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
