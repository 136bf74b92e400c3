"""TensorBoard, in the run's own folder."""

import logging
from collections.abc import Callable, Mapping

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from gantry.loggers.dispatch import FloatVector, Pixels
from gantry.runs.layout import TENSORBOARD_FOLDER

log = logging.getLogger(__name__)


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's, writing to `folder`/tensorboard, that shows pictures and can be resumed."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, name=TENSORBOARD_FOLDER, version="", default_hp_metric=False)
        self.summary: dict[str, float] = {}

    @rank_zero_only
    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None:
        """Show pixels uint8 [H, W, 1 or 3]."""
        self.experiment.add_image(name, pixels, turn, dataformats="HWC")

    @rank_zero_only
    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None:
        """Show how values [N] are spread."""
        self.experiment.add_histogram(name, values, turn)

    @rank_zero_only
    def log_summary(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers for the page of hyperparameters, which is written once, at the end."""
        self.summary |= numbers

    @rank_zero_only
    def rewind_to(self, turn: int) -> None:
        """Go on in a new file, which has TensorBoard purge what the earlier ones hold beyond the turn."""
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
        """Write what Lightning asks for, if the disk takes it: training does not need it."""
        try:
            write()
        except OSError as error:
            log.warning("TensorBoard cannot write to %s: %s", self.log_dir, error.strerror)
