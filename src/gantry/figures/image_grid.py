"""Grids: many images in one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gantry.files import atomic_write

Pixels = NDArray[np.uint8]

MIN_CELL_SIZE = 48  # pixels that the side of a cell has at least: an 8 x 8 digit is enlarged six times
CELL_GAP = 2
GRID_BACKGROUND = 128  # apart from black and from white
LABEL_SIZE, LABEL_GAP = 14, 6  # of the labels of rows, in pixels
LABEL_COLOUR, LABEL_BACKGROUND = 32, 255
CHANNEL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def make_image_grid(x: Tensor, columns: int | None = None, rows: int | None = None) -> Pixels:
    """x uint8 [N, C, H, W] -> picture uint8 [H', W', 1 or 3].

    Given `columns`, the images fill row after row; given `rows`, column after column.
    """
    cells = enlarge(to_grey_or_rgb(x))
    n, channels, height, width = cells.shape
    down, across = (rows, -(-n // rows)) if rows else (-(-n // (columns or n)), columns or n)
    picture = torch.full(
        (channels, down * (height + CELL_GAP) + CELL_GAP, across * (width + CELL_GAP) + CELL_GAP),
        GRID_BACKGROUND,
        dtype=torch.uint8,
    )
    for i, cell in enumerate(cells):
        row, column = (i % down, i // down) if rows else divmod(i, across)
        top, left = CELL_GAP + row * (height + CELL_GAP), CELL_GAP + column * (width + CELL_GAP)
        picture[:, top : top + height, left : left + width] = cell
    return picture.permute(1, 2, 0).numpy()


def add_row_labels(pixels: Pixels, labels: Sequence[str]) -> Pixels:
    """Return a picture uint8 [H, W, C] with a text to the left of each of its rows of images, `labels` from the top."""
    font = ImageFont.load_default(size=LABEL_SIZE)
    margin = round(max(font.getlength(label) for label in labels)) + 2 * LABEL_GAP
    strip = Image.new("L", (margin, pixels.shape[0]), LABEL_BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for i, label in enumerate(labels):
        middle = round((CELL_GAP + (2 * i + 1) * (pixels.shape[0] - CELL_GAP) / len(labels)) / 2)
        draw.text((margin - LABEL_GAP, middle), label, fill=LABEL_COLOUR, font=font, anchor="rm")
    column = np.repeat(np.asarray(strip)[..., None], pixels.shape[2], axis=2)
    return np.concatenate([column, pixels], axis=1)


def to_grey_or_rgb(x: Tensor) -> Tensor:
    """x uint8 [N, C, H, W] -> uint8 [N, 1 or 3, H, W'], for any number of channels.

    Four channels are RGB and opacity, drawn over a chequerboard. For any other number the channels are placed side by
    side in grey.
    """
    channels = x.shape[1]
    if channels == 4:
        colours, opacity = x[:, :3].float(), x[:, 3:].float() / 255
        behind = make_chequerboard(*x.shape[2:]).to(x.device)
        return (opacity * colours + (1 - opacity) * behind).round().to(torch.uint8)
    return x if channels in (1, 3) else x.permute(0, 2, 1, 3).flatten(2).unsqueeze(1)


def make_chequerboard(height: int, width: int) -> Tensor:
    """Return fields of a quarter of the width, in two light greys: -> float [height, width]."""
    field = max(1, width // 4)
    rows, columns = torch.arange(height) // field, torch.arange(width) // field
    return 204.0 + 51.0 * ((rows[:, None] + columns) % 2)


def enlarge(x: Tensor) -> Tensor:
    """x [N, C, H, W] -> [N, C, k H, k W]: each pixel becomes a square; k is the smallest that MIN_CELL_SIZE allows."""
    k = -(-MIN_CELL_SIZE // max(x.shape[2:]))
    return x.repeat_interleave(k, 2).repeat_interleave(k, 3)


def to_pil_image(pixels: Pixels) -> Image.Image:
    """pixels uint8 [H, W, C], C from 1 to 4 -> an image that Pillow can write; grey stays grey."""
    return Image.fromarray(np.ascontiguousarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels))


def write_png(pixels: Pixels, path: Path) -> None:
    """Write pixels uint8 [H, W, C] as a PNG; its folder is created."""
    with atomic_write(path) as part:
        to_pil_image(pixels).save(part, "PNG")
