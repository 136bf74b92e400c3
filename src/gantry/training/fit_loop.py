"""Lightning's loop over epochs, for runs that resume after their last turn."""

from typing import Any, cast

from lightning import Trainer
from lightning.pytorch.loops.fit_loop import _FitLoop


class FitLoop(_FitLoop):
    """Calls the hooks of the start and of the end of training also where no turn is left.

    A run that was killed while its callbacks finished it (the last checkpoint, the report) resumes there, and they
    make what is missing. Lightning's own loop would return at once.
    """

    @property
    def skip(self) -> bool:
        return self.max_batches == 0 or self.trainer.limit_train_batches == 0


def install_fit_loop(trainer: Trainer) -> None:
    """Give a trainer this loop in place of Lightning's."""
    loop = FitLoop(trainer, trainer.min_epochs, trainer.max_epochs)
    loop.epoch_loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop = loop


def make_new_loop_state() -> dict[str, Any]:
    """Return the state of a loop that has not begun; no part of it is the trainer's."""
    return dict(_FitLoop(cast(Trainer, None)).state_dict())
