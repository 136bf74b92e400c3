"""Send numbers that callbacks log with Lightning's `self.log` or `gan.log` to the loggers of a run, each in the row of
its turn."""

from typing import Any

import torch
from lightning import Trainer
from torchmetrics import Metric

from gantry.distributed import collectives
from gantry.loggers.dispatch import log_metrics
from gantry.training.gan import GAN


def redirect_log(trainer: Trainer, gan: GAN) -> None:
    """Log each number that a callback gives to `log` at its turn, beside the other numbers of the turn.

    Lightning itself would log it at every 50th batch only, in the row of the turn before, and again at later ones. It
    still keeps it for callbacks that monitor a number. A run is a single epoch: numbers logged with `on_epoch` are
    logged at their turn, too. With `sync_dist` the mean over the ranks is logged, otherwise the number of rank 0.
    """
    lightning_log = gan.log

    def log(name: str, value: Any, prog_bar: bool = False, logger: bool | None = None, **options: Any) -> None:
        lightning_log(name, value, prog_bar, logger=False, **options)
        if logger is not False:
            number = float(value.compute() if isinstance(value, Metric) else value)
            if options.get("sync_dist"):
                number = average_over_ranks(number, gan.device)
            if trainer.is_global_zero:
                log_metrics(trainer.loggers, {name: number}, gan.turn, gan.kimg)

    gan.log = log  # type: ignore[method-assign, assignment]  # from here Lightning gives it to every callback as `self.log`


def average_over_ranks(number: float, device: torch.device) -> float:
    """Return the mean of a number over the ranks; every rank must call it."""
    tensor = torch.tensor(number, device=device)
    collectives.all_reduce_mean_([tensor])
    return float(tensor)
