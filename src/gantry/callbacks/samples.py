"""What the generator makes of the same latents as training goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning import Trainer
from PIL import Image
from torch import Tensor

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.figures.animation import add_caption, write_animation
from gantry.figures.image_grid import write_png
from gantry.figures.sample_sheet import NUM_POINTS, SampleSheet, make_fixed_sheet
from gantry.files import optional_write
from gantry.loggers.dispatch import log_image
from gantry.nets.contract import Generator
from gantry.runs.layout import ANIMATION_FILE, SAMPLES_FOLDER, list_sample_images, sample_image_name
from gantry.training.gan import GAN
from gantry.values import evenly_spaced

FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS = (
    250,
    2500,
)  # that a picture of the animation is shown, and the last one besides
MAX_FRAMES = 100  # that an animation has at most


class SampleWriter(GanCallback):
    """A picture of G_ema's samples every `every` turns, of the untrained generator and at the end.

    They are written to `folder`/samples and shown by the loggers; at the end, an animation is made of all.
    The latents are a function of `seed` alone: `rows` x `columns` of them, with classes a row for each.
    """

    rank_zero_only = True

    def __init__(self, folder: str, every: int, rows: int = 10, columns: int = 10, seed: int = 0) -> None:
        self.folder, self.every = Path(folder) / SAMPLES_FOLDER, every
        self.rows, self.columns, self.seed = rows, columns, seed
        self.sheet: SampleSheet | None = None
        self.real_points: Tensor | None = None

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.sheet = make_fixed_sheet(gan.G_ema, self.seed, self.rows, self.columns)
        self.real_points = read_real_points(trainer, gan)
        if gan.turn == 0:
            self.write_samples(trainer, gan)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.is_due(self.every):
            self.write_samples(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        if list_sample_images(self.folder):
            path, grey = self.folder / ANIMATION_FILE, sample_shape(gan)[0] == 1
            with optional_write():
                write_animation(
                    read_frames(self.folder), path, FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS, lossless=grey
                )

    def write_samples(self, trainer: Trainer, gan: GAN) -> None:
        """Write and log the image of this turn."""
        assert self.sheet is not None
        pixels = self.sheet.render(gan.G_ema, gan.device, self.real_points)
        with optional_write():
            write_png(pixels, self.folder / sample_image_name(gan.turn))
        log_image(trainer.loggers, "samples", pixels, gan.turn)


def sample_shape(gan: GAN) -> tuple[int, ...]:
    """Of one sample."""
    G: Generator = gan.G_ema
    return tuple(G.shape)


def read_real_points(trainer: Trainer, gan: GAN) -> Tensor | None:
    """As many real points of the plane [M, 2] as a picture shows; None when the data are images."""
    data: Any = getattr(trainer, "datamodule", None)
    if data is None or len(sample_shape(gan)) > 1:
        return None
    points: Tensor = data.get_reference_split("train").load_range(0, NUM_POINTS).x
    return points


def read_frames(folder: Path) -> Iterator[Image.Image]:
    """The pictures in a folder by turn, each with its turn below; evenly spaced ones of very many."""
    pictures = list(list_sample_images(folder).items())
    for i in evenly_spaced(len(pictures), MAX_FRAMES):
        turn, path = pictures[i]
        with Image.open(path) as picture:
            yield add_caption(picture, f"turn {turn:,}", turn / max(pictures[-1][0], 1))
