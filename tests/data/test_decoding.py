"""One decoding for training and scores: transparency keys, 16 bits, opacity, bounds, formats."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.helpers.image_bytes import make_png, make_png_header

from gantry.data.decoding import ImageHeader, decode_image, decode_pixels, read_image_header


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_level_is_white_at_any_depth(depth: int) -> None:
    white = 2**depth - 1
    levels = np.array([[0, white // 3, white]] * 2)
    png = make_png(levels, depth, 0, key=(white // 3,))
    assert decode_pixels(BytesIO(png), 1)[0, :, 0].tolist() == [255 if depth == 1 else 0, 255, 255]
    assert decode_image(BytesIO(png), (3, 2, 3))[:, 0, 1].tolist() == [255] * 3


def test_a_transparent_colour_of_16_bits_is_white() -> None:
    levels = np.full((2, 2, 3), 30000)
    levels[0] = 10000
    x = decode_pixels(BytesIO(make_png(levels, 16, 2, key=(30000, 30000, 30000))), 3)
    assert x[:, 0, 0].tolist() == [39, 255]


def test_with_16_bits_the_levels_are_whole() -> None:
    levels = np.array([[0, 1, 32768, 65535]] * 4)
    png = make_png(levels, 16, 0)
    x = decode_image(BytesIO(png), (1, 4, 4), bits=16)
    assert x.dtype == np.float32
    assert np.allclose(x[0, 0], levels[0] / 32767.5 - 1, atol=1e-7)
    assert decode_image(BytesIO(png), (1, 4, 4))[0, 0].tolist() == [0, 0, 128, 255]
    eight = make_png(np.array([[0, 100, 200, 255]] * 4), 8, 0)
    assert np.allclose(decode_image(BytesIO(eight), (3, 4, 4), bits=16)[2, 0], np.array([0, 100, 200, 255]) / 127.5 - 1)


def test_opacity_is_a_channel_where_the_shape_has_one(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 51)).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png", (4, 4, 4))[:, 0, 0].tolist() == [10, 20, 30, 51]
    assert decode_image(tmp_path / "a.png", (2, 4, 4))[1, 0, 0] == 51
    Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "b.png")
    assert decode_image(tmp_path / "b.png", (4, 4, 4))[:, 0, 0].tolist() == [10, 20, 30, 255]


def test_levels_without_a_known_white_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="32-bit pixels have no known white"):
        decode_image(tmp_path / "a.tif", (1, 4, 4))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_by_the_header() -> None:
    for width in (13000, 60000):
        with pytest.raises(ValueError, match="more than 89478485 pixels"):
            decode_image(BytesIO(make_png_header(width, 13000)), (3, 4, 4))


def test_no_program_is_started_for_postscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    (tmp_path / "x.png").write_bytes(eps)
    with pytest.raises(OSError, match="cannot identify image file"):
        decode_image(tmp_path / "x.png", (3, 4, 4))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ValueError, match="a named pipe is no regular file"):
        decode_image(tmp_path / "x.png", (3, 4, 4))
    (tmp_path / "y.png").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="a device is no regular file"):
        read_image_header(tmp_path / "y.png", 3)


def test_the_header_says_the_upright_size_and_what_decoding_changes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (8, 4)).save(tmp_path / "a.png", exif=exif)
    header = read_image_header(tmp_path / "a.png", 1)
    assert (header.height, header.width) == (8, 4)
    assert header.conversions == {"turned upright", "transparent on white", "colour to grey"}
    assert read_image_header(BytesIO(make_png(np.zeros((2, 2)), 16, 0)), 3).conversions == {
        "16 bits to 8",
        "grey to colour",
    }
    exif[0x0112] = 9  # no orientation
    Image.new("RGB", (8, 4)).save(tmp_path / "b.png", exif=exif)
    assert read_image_header(tmp_path / "b.png", 3) == ImageHeader(4, 8)
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg")
    assert read_image_header(tmp_path / "c.jpg", 3).conversions == {"CMYK to RGB"}
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    assert read_image_header(tmp_path / "plain.png", 3).conversions == frozenset()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_the_header_has_the_size_of_the_pixels(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (8, 4)).save(tmp_path / f"a.{suffix}", exif=exif)
    header = read_image_header(tmp_path / f"a.{suffix}", 3)
    assert decode_pixels(tmp_path / f"a.{suffix}", 3).shape == (header.height, header.width, 3)
    assert ("turned upright" in header.conversions) == (orientation > 1)
