"""Many images in one picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gantry.figures.animation import CAPTION_HEIGHT, add_caption, write_animation
from gantry.figures.image_grid import (
    GRID_BACKGROUND,
    add_row_labels,
    enlarge,
    make_image_grid,
    to_grey_or_rgb,
    write_png,
)


def levels(n: int, channels: int = 1, side: int = 48) -> torch.Tensor:
    """Image i is of the level 10 i everywhere."""
    return (10 * torch.arange(n, dtype=torch.uint8)).view(n, 1, 1, 1).expand(n, channels, side, side)


def centres(picture: np.ndarray) -> list[list[int]]:
    return picture[2 + 24 :: 50, 2 + 24 :: 50, 0].tolist()


def test_row_after_row() -> None:
    picture = make_image_grid(levels(5), columns=3)
    assert picture.shape == (2 * 50 + 2, 3 * 50 + 2, 1)
    assert centres(picture) == [[0, 10, 20], [30, 40, GRID_BACKGROUND]]


def test_column_after_column() -> None:
    assert centres(make_image_grid(levels(5), rows=2)) == [[0, 20, 40], [10, 30, GRID_BACKGROUND]]


def test_every_image_has_a_gap_around_it() -> None:
    picture = make_image_grid(levels(4), columns=2)[..., 0]
    gap = np.zeros_like(picture, dtype=bool)
    for start in (0, 50, 100):
        gap[start : start + 2] = gap[:, start : start + 2] = True
    assert (picture[gap] == GRID_BACKGROUND).all()
    assert (picture[~gap] != GRID_BACKGROUND).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_labels_stand_beside_their_rows_and_are_not_cut_off(channels: int) -> None:
    grid = make_image_grid(torch.zeros(6, channels, 8, 8, dtype=torch.uint8), columns=2)
    labelled = add_row_labels(grid, ["class 0", "", "a very long name gjpqy"])
    np.testing.assert_array_equal(labelled[:, -grid.shape[1] :], grid)
    margin = labelled[:, : -grid.shape[1], 0]
    rows = [margin[2 + 50 * i : 50 + 50 * i] < 128 for i in range(3)]
    assert [bool(row.any()) for row in rows] == [True, False, True]
    assert all((margin[50 * i : 50 * i + 2] == 255).all() for i in range(3))
    assert (margin[:, :2] == 255).all()
    assert (margin[:, -2:] == 255).all()
    assert np.flatnonzero(rows[0].any(0))[0] > np.flatnonzero(rows[2].any(0))[0]  # right-aligned


def test_enlarging_repeats_pixels() -> None:
    x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    large = enlarge(x)
    assert large.shape == (2, 3, 48, 48)
    assert torch.equal(large[:, :, ::6, ::6], x)
    assert torch.equal(large[:, :, 5::6, 5::6], x)


@pytest.mark.parametrize(("side", "enlarged"), [(8, 48), (28, 56), (32, 64), (48, 48), (64, 64), (1, 48)])
def test_small_images_are_enlarged(side: int, enlarged: int) -> None:
    assert enlarge(levels(1, side=side)).shape == (1, 1, enlarged, enlarged)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_are_shown_as_they_are(channels: int) -> None:
    x = torch.randint(0, 256, (2, channels, 5, 5), dtype=torch.uint8)
    assert to_grey_or_rgb(x) is x


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channels_are_placed_side_by_side(channels: int) -> None:
    x = torch.randint(0, 256, (3, channels, 4, 6), dtype=torch.uint8)
    shown = to_grey_or_rgb(x)
    assert shown.shape == (3, 1, 4, 6 * channels)
    assert torch.equal(shown[1, 0, :, 6:12], x[1, 1])


def test_transparency_shows_a_chequerboard() -> None:
    x = torch.full((1, 4, 8, 8), 100, dtype=torch.uint8)
    x[:, 3, :4], x[:, 3, 4:] = 255, 0
    shown = to_grey_or_rgb(x)[0]
    assert (shown[:, :4] == 100).all()
    assert set(shown[:, 4:].flatten().tolist()) == {204, 255}


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_png_keeps_every_channel(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    write_png(pixels, tmp_path / "new" / "x.png")
    image = Image.open(tmp_path / "new" / "x.png")
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_animation_holds_the_last_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((20, 30), level, dtype=np.uint8)) for level in (0, 120, 240)]
    write_animation(iter(frames), tmp_path / "x.webp", milliseconds=100, hold=900, lossless=True)
    animation = Image.open(tmp_path / "x.webp")
    shown = []
    for i in range(animation.n_frames):
        animation.seek(i)
        animation.load()
        shown.append((np.asarray(animation.convert("L"))[5, 5], animation.info["duration"]))
    assert shown == [(0, 100), (120, 100), (240, 1000)]
    assert animation.info["loop"] == 0


def test_a_single_frame_is_an_animation(tmp_path: Path) -> None:
    write_animation([Image.new("L", (9, 9))], tmp_path / "x.webp", 100)
    assert Image.open(tmp_path / "x.webp").size == (9, 9)


def test_captions_are_below_the_picture() -> None:
    picture = Image.new("L", (200, 40), 0)
    frame = np.asarray(add_caption(picture, "turn 1,234,567", 0.5))
    assert frame.shape == (40 + CAPTION_HEIGHT, 200, 3)
    assert (frame[:40] == 0).all()
    assert (frame[-1, :98] != 255).any(axis=1).all()  # half of the bar
    assert (frame[-1, 103:] == 255).all()


def test_a_caption_is_not_cut_off() -> None:
    frame = np.asarray(add_caption(Image.new("L", (20, 40), 0), "turn 1,234,567", 0.0).convert("L"))
    text = frame[40:-4]
    assert (text < 90).any()
    edges = np.concatenate([text[:2].flatten(), text[:, -5:].flatten(), text[:, :3].flatten()])
    assert (edges == 255).all()


def test_frames_of_different_sizes_are_padded(tmp_path: Path) -> None:
    write_animation([Image.new("L", (9, 9)), Image.new("RGB", (12, 20))], tmp_path / "x.webp", 100)
    with Image.open(tmp_path / "x.webp") as animation:
        assert (animation.size, animation.n_frames) == ((12, 20), 2)
