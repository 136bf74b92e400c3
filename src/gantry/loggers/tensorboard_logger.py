"""TensorBoard, in the folder of the run."""

import logging
from collections.abc import Callable, Mapping

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from gantry.loggers.dispatch import FloatVector, Pixels
from gantry.runs.layout import TENSORBOARD_FOLDER

log = logging.getLogger(__name__)


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's TensorBoardLogger with images, writing to `folder`/tensorboard; it can be resumed."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, name=TENSORBOARD_FOLDER, version="", default_hp_metric=False)
        self.summary: dict[str, float] = {}

    @rank_zero_only
    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None:
        """Log an image, uint8 [H, W, 1 or 3]."""
        self.experiment.add_image(name, pixels, turn, dataformats="HWC")

    @rank_zero_only
    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None:
        """Log a histogram of values [N]."""
        self.experiment.add_histogram(name, values, turn)

    @rank_zero_only
    def log_summary(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers for the hyperparameters page, which is written once, at the end."""
        self.summary |= numbers

    @rank_zero_only
    def rewind_to(self, turn: int) -> None:
        """Continue in a new file, which makes TensorBoard ignore later turns of the earlier files."""
        if turn > 0:
            self.experiment.close()
            self._experiment, self._kwargs["purge_step"] = None, turn + 1

    @rank_zero_only
    def save(self) -> None:
        self.write_if_possible(super().save)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.summary:
            self.write_if_possible(lambda: self.log_hyperparams(self.hparams, self.summary))
        self.write_if_possible(lambda: super(TensorBoardLogger, self).finalize(status))

    def write_if_possible(self, write: Callable[[], None]) -> None:
        """Write, or warn if the disk is full: training does not need these files."""
        try:
            write()
        except OSError as error:
            log.warning("TensorBoard cannot write to %s: %s", self.log_dir, error.strerror)
