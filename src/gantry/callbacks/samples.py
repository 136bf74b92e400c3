"""Samples of the same latents, as images during training and as an animation at its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning import Trainer
from PIL import Image
from torch import Tensor

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.callbacks.health import HealthCheck
from gantry.figures.animation import add_caption, write_animation
from gantry.figures.image_grid import write_png
from gantry.figures.sample_sheet import NUM_POINTS, SampleSheet, make_fixed_sheet
from gantry.files import optional_write, report_disk_errors
from gantry.loggers.dispatch import log_image
from gantry.nets.contract import Generator
from gantry.runs.layout import ANIMATION_FILE, SAMPLES_FOLDER, list_sample_images, sample_image_name
from gantry.training.gan import GAN
from gantry.values import evenly_spaced

FRAME_MILLISECONDS = 250
LAST_FRAME_MILLISECONDS = 2500  # in addition
MAX_FRAMES = 100


class SampleWriter(GanCallback):
    """Writes and logs samples of G_ema: of the untrained generator, every `every` turns and at the end.

    The images lie in `folder`/samples, and an animation of all at the end. The latents are a function of `seed` alone:
    `rows` x `columns` of them, with one row for each class. At most `keep` images stay, evenly spread over the run:
    `interval_of_kept` says which. Loggers, which cannot delete, get only those that are kept at the end of the budget.
    """

    rank_zero_only = True
    after = (HealthCheck,)

    def __init__(
        self, folder: str, every: int, rows: int = 10, columns: int = 10, seed: int = 0, keep: int = MAX_FRAMES
    ) -> None:
        self.folder, self.every, self.keep = Path(folder) / SAMPLES_FOLDER, every, keep
        self.rows, self.columns, self.seed = rows, columns, seed
        self.sheet: SampleSheet | None = None
        self.real_points: Tensor | None = None

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        class_names = getattr(getattr(trainer, "datamodule", None), "classes", ())
        self.sheet = make_fixed_sheet(gan.G_ema, self.seed, self.rows, self.columns, class_names)
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
        """Write and log the samples of this turn."""
        assert self.sheet is not None
        pixels = self.sheet.render(gan.G_ema, gan.device, self.real_points)
        with optional_write():
            write_png(pixels, self.folder / sample_image_name(gan.turn))
        self.delete_others(gan.turn)
        if gan.turn == gan.turns or gan.turn % interval_of_kept(gan.turns, self.every, self.keep) == 0:
            log_image(trainer.loggers, "samples", pixels, gan.turn)

    def delete_others(self, turn: int) -> None:
        """Delete the images that are not kept at a turn, whose own is kept until the next one is written."""
        interval = interval_of_kept(turn, self.every, self.keep)
        if interval > self.every:
            for other, path in list_sample_images(self.folder).items():
                if other % interval and other != turn:
                    with optional_write(), report_disk_errors(path):
                        path.unlink(missing_ok=True)


def interval_of_kept(turn: int, every: int, keep: int) -> int:
    """Return the number of turns between two images that are kept at a turn.

    It is `every`, doubled until they and the newest are at most `keep`. As a function of the turn alone it is the same
    in a resumed run, and since it only doubles, no image that is kept later has been deleted before.
    """
    interval = every
    while turn // interval + 2 > keep:
        interval *= 2
    return interval


def sample_shape(gan: GAN) -> tuple[int, ...]:
    """Return the shape of one sample."""
    G: Generator = gan.G_ema
    return tuple(G.shape)


def read_real_points(trainer: Trainer, gan: GAN) -> Tensor | None:
    """Return real points of the plane [M, 2], as many as a figure shows; None if the data are images."""
    data: Any = getattr(trainer, "datamodule", None)
    if data is None or len(sample_shape(gan)) > 1:
        return None
    points: Tensor = data.get_reference_split("train").load_range(0, NUM_POINTS).x
    return points


def read_frames(folder: Path) -> Iterator[Image.Image]:
    """Yield the images in a folder by turn, each with its turn below; at most MAX_FRAMES, evenly spaced."""
    files = list(list_sample_images(folder).items())
    for i in evenly_spaced(len(files), MAX_FRAMES):
        turn, path = files[i]
        with Image.open(path) as image:
            yield add_caption(image, f"turn {turn:,}", turn / max(files[-1][0], 1))
