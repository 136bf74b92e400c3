"""Folders of the user's images: image modes and formats, sizes, classes, splits and broken files."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gantry.data.class_names import find_class_names
from gantry.data.decoding import decode_image
from gantry.data.folder import ImageFolder
from gantry.data.folder_index import FolderWalk, is_held_out, sort_names

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def make_source(root: Path, **changes: Any) -> ImageFolder:
    settings = {"shape": [3, 8, 8], "test_share": 0.2, "min_images": 1, "memory_limit": 1, "workers": 0}
    return ImageFolder(str(root), **{**settings, **changes})


def write_image(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (10, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_images(root: Path, n: int, suffix: str = "png") -> None:
    for i in range(n):
        write_image(root / f"{i}.{suffix}", (i, 0, 0))


def get_colours(image: np.ndarray) -> set[tuple[int, ...]]:
    """Return the set of colours of an image [C, H, W]."""
    return set(map(tuple, image.reshape(len(image), -1).T.tolist()))


# Each function writes one image and returns the colours that it must have as RGB.


def write_grey(path: Path) -> set:
    Image.new("L", (9, 9), 77).save(path)
    return {(77, 77, 77)}


def write_grey_16_bit(path: Path) -> set:
    Image.fromarray(np.full((9, 9), 200 * 257, np.uint16)).save(path)
    return {(200, 200, 200)}


def write_bilevel(path: Path) -> set:
    Image.new("1", (9, 9), 1).save(path)
    return {WHITE}


def write_transparent(path: Path) -> set:
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(path)
    return {WHITE}


def write_half_transparent(path: Path) -> set:
    Image.new("RGBA", (9, 9), (255, 0, 0, 51)).save(path)  # one fifth red on white
    return {(255, 204, 204)}


def write_grey_with_alpha(path: Path) -> set:
    Image.new("LA", (9, 9), (0, 0)).save(path)
    return {WHITE}


def write_palette(path: Path) -> set:
    Image.new("RGB", (9, 9), RED).quantize(4).save(path)
    return {RED}


def write_palette_with_transparency(path: Path) -> set:
    image = Image.new("P", (9, 9), 1)
    image.putpalette([*BLACK, *RED])
    image.save(path, transparency=1)
    return {WHITE}


def write_rgb_with_transparent_colour(path: Path) -> set:
    Image.new("RGB", (9, 9), RED).save(path, transparency=RED)
    return {WHITE}


FORMATS: list[tuple[Callable[[Path], set], str]] = [
    (write_grey, "png"),
    (write_grey, "bmp"),
    (write_grey, "pgm"),
    (write_grey_16_bit, "png"),
    (write_grey_16_bit, "tif"),
    (write_grey_16_bit, "pgm"),
    (write_bilevel, "png"),
    (write_transparent, "png"),
    (write_transparent, "webp"),
    (write_half_transparent, "png"),
    (write_grey_with_alpha, "png"),
    (write_palette, "png"),
    (write_palette, "gif"),
    (write_palette_with_transparency, "png"),
    (write_palette_with_transparency, "gif"),
    (write_rgb_with_transparent_colour, "png"),
]


@pytest.mark.parametrize(("write", "suffix"), FORMATS, ids=lambda value: getattr(value, "__name__", value))
def test_every_image_mode_decodes_to_the_visible_colours(
    write: Callable[[Path], set], suffix: str, tmp_path: Path
) -> None:
    expected = write(path := tmp_path / f"image.{suffix}")
    assert get_colours(decode_image(path, (3, 4, 4))) == expected


def test_cmyk_jpegs_become_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    ((red, green, blue),) = get_colours(decode_image(tmp_path / "a.jpg", (3, 4, 4)))
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """Orientation 6: the first column of the pixels is the top of the scene."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:2, :4] = RED  # no symmetry
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image = decode_image(tmp_path / "a.png", (3, 8, 8))
    assert np.array_equal(image, np.rot90(pixels, -1).transpose(2, 0, 1))
    assert get_colours(image[:, :4, 6:]) == {RED}


@pytest.mark.parametrize("size", [(30, 10), (10, 30)])
def test_the_centre_is_cropped(size: tuple[int, int], tmp_path: Path) -> None:
    image = Image.new("RGB", size, RED)
    image.paste(WHITE, ((size[0] - 10) // 2, (size[1] - 10) // 2, (size[0] + 10) // 2, (size[1] + 10) // 2))
    image.save(tmp_path / "a.png")
    assert get_colours(decode_image(tmp_path / "a.png", (3, 10, 10))) == {WHITE}


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (8, 8), (37, 23)])
def test_any_size_is_resized_to_any_shape(size: tuple[int, int], tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", RED, size)
    assert decode_image(path, (3, 6, 8)).shape == (3, 6, 8)
    grey = decode_image(path, (1, 6, 8))
    assert (grey.shape, grey.dtype, get_colours(grey)) == ((1, 6, 8), np.uint8, {(76,)})


def test_folder_without_classes(tmp_path: Path) -> None:
    write_images(tmp_path, 40)
    (tmp_path / "notes.txt").write_text("not an image")
    write_image(tmp_path / ".thumbnails" / "x.png")
    write_image(tmp_path / "._0.png")
    data = make_source(tmp_path).load()
    assert (data.name, data.classes, data.shape) == (tmp_path.name, (), (3, 8, 8))
    assert len(data.train) + len(data.test) == 40
    reds = torch.cat([split.load_range(0, len(split)).x[:, 0, 0, 0] for split in (data.train, data.test)])
    assert sorted(reds.tolist()) == list(range(40))
    assert data.train.c.unique().tolist() == [0]


def test_class_folders_are_labels(tmp_path: Path) -> None:
    for colour, name in ((RED, "rød"), (WHITE, "日本 2"), (BLACK, "a")):
        for i in range(12):
            write_image(tmp_path / name / f"deep {i % 2}" / f"{i}.PNG", colour)
    (tmp_path / "a" / "broken.png").touch()
    data = make_source(tmp_path).load()
    assert data.classes == ("a", "rød", "日本 2")
    for split in (data.train, data.test):
        images = split.load_range(0, len(split))
        for image, label in zip(images.x, images.c):
            assert get_colours(image.numpy()) == {(BLACK, RED, WHITE)[label]}


def test_new_files_move_no_old_file_between_the_splits(tmp_path: Path) -> None:
    write_images(tmp_path, 60)
    before = {name: is_held_out(name, 0.2) for name in sort_names(FolderWalk(tmp_path))}
    write_images(tmp_path / "more", 30)
    write_image(tmp_path / "0 first.png")
    after = {name: is_held_out(name, 0.2) for name in sort_names(FolderWalk(tmp_path))}
    assert len(after) == 91
    assert {name: after[name] for name in before} == before
    assert 3 <= sum(before.values()) <= 25


def test_held_out_fraction_equals_test_share() -> None:
    held_out = [is_held_out(f"{i}.png", 0.1) for i in range(10_000)]
    assert sum(held_out) == pytest.approx(1000, abs=120)  # four standard deviations
    assert not any(is_held_out(f"{i}.png", 0) for i in range(100))


def test_unicode_normalisation_does_not_change_the_split() -> None:
    shares = [i / 50 for i in range(50)]
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    assert [is_held_out(composed, s) for s in shares] == [is_held_out(decomposed, s) for s in shares]


def write_broken_files(root: Path) -> None:
    """Write seven files, each broken in another way."""
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8))
    for name in ("b_truncated.jpg", "c_truncated.png"):
        noise.save(root / name)
        (root / name).write_bytes((root / name).read_bytes()[:1500])
    (root / "d_text.png").write_text("this is no image")
    (root / "e_empty.gif").touch()
    (root / "f_html.jpg").write_text("<html>404</html>")
    (root / "g_header.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("F", (4, 4)).save(root / "h_floats.tiff")


def test_broken_files_are_counted_and_the_first_are_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path, 30)
    write_broken_files(tmp_path)
    with caplog.at_level(logging.WARNING):
        data = make_source(tmp_path).load()
    assert len(data.train) + len(data.test) == 30
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert message.startswith(f"{tmp_path}: 7 of 37 files cannot be read: ")
    assert message.endswith(" and 2 more. Training continues without them")
    assert sum(name in message for name in ("b_tr", "c_tr", "d_t", "e_e", "f_h", "g_h", "h_f")) == 5
    assert "\n" not in message


def test_too_few_readable_images_are_an_error_of_one_line(tmp_path: Path) -> None:
    write_images(tmp_path, 4)
    write_broken_files(tmp_path)
    rule = r"^data\.source\.root must be a folder with at least 5 readable images \(data\.source\.min_images\)"
    with pytest.raises(ValueError, match=rule + r", got '.*' with 4; 7 of 11 files cannot be read: [^\n]*$"):
        make_source(tmp_path, min_images=5).load()


def test_missing_and_empty_folders_are_refused_at_construction(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    cases = {tmp_path / "none": "which does not exist", file: "which is a file", tmp_path: "without any"}
    for root, problem in cases.items():
        rule = rf"^data\.source\.root must be a folder with images .*, got '{root}' {problem}$"
        with pytest.raises(ValueError, match=rule):
            make_source(root)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        (r"data\.shape", {"shape": [5, 8, 8]}),
        (r"data\.source\.test_share", {"test_share": 1.0}),
        (r"data\.source\.min_images", {"min_images": -1}),
        (r"data\.source\.workers", {"workers": -1}),
    ],
)
def test_wrong_settings_name_their_key(key: str, changes: dict[str, Any], tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"^{key} must"):
        make_source(tmp_path, **changes)


def test_numeric_class_folders_are_in_numeric_order() -> None:
    assert find_class_names([f"{k}/a.png" for k in (10, 2, 0)]) == ("0", "2", "10")
    assert find_class_names(["b/a.png", "10/a.png", "9/a.png"]) == ("10", "9", "b")
