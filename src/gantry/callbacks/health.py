"""Stop a run whose state is NaN or infinite before anything of it is saved."""

import logging
from typing import Any

from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs, get_callbacks
from gantry.errors import RunError
from gantry.loggers.dispatch import log_metrics
from gantry.training.executor import ScalarTensors
from gantry.training.finite import first_nonfinite, is_state_finite, named_state_tensors
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class HealthCheck(GanCallback):
    """Stops a run in which a loss, a weight or a moment of an optimiser is NaN or infinite.

    The state is checked every `patience` turns and whenever a later callback is due, so that a broken generator is
    never scored, shown or saved. In between the losses stay on the device and nothing waits for it. All ranks stop
    together.

    With `skip`, updates whose losses or gradients are not finite are left out, the same ones on all ranks, and counted
    as `health/skipped`; the host then waits for each update. A state that is not finite all the same, or `patience`
    turns in a row with a skipped update, stop the run.
    """

    state_key = "Health"  # in checkpoints: the name that the class once had

    def __init__(self, folder: str, patience: int = 20, skip: bool = False) -> None:
        self.folder, self.patience, self.skip = folder, patience, skip
        self.intervals = {patience}
        self.pending_losses: list[tuple[int, ScalarTensors]] = []  # of the updates since the last check, by turn
        self.checked_at = -1
        self.consecutive_skips = 0  # turns in a row with a skipped update
        self.num_skipped, self.num_reported = 0, 0  # skipped updates, and how many of them are logged

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        gan.skip_nonfinite = self.skip
        callbacks = get_callbacks(trainer)
        later = callbacks[callbacks.index(self) + 1 :]
        self.intervals = {self.patience, *(c.every for c in later if isinstance(c, GanCallback) and c.every)}

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.pending_losses += [(gan.turn, scalars) for scalars in outputs["updates"]]
        self.consecutive_skips = self.consecutive_skips + 1 if gan.run_state.num_skipped > self.num_skipped else 0
        self.num_skipped = gan.run_state.num_skipped
        if any(gan.is_due(every) for every in self.intervals):
            self.check_state(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        if self.checked_at != gan.turn:
            self.check_state(trainer, gan)

    def check_state(self, trainer: Trainer, gan: GAN) -> None:
        """Raise RunError if the run is broken; every rank must call it."""
        pending, self.pending_losses, self.checked_at = self.pending_losses, [], gan.turn
        losses = [value for _, scalars in pending for value in scalars.values()]
        if not is_state_finite(gan, trainer.optimizers, *losses):
            raise RunError(f"{self.describe_nonfinite(trainer, gan, pending)}; {self.advice}")
        if self.consecutive_skips >= self.patience:
            raise RunError(
                f"an update was skipped in each of the last {self.consecutive_skips} turns, up to turn {gan.turn}"
            )
        if self.num_skipped > self.num_reported:
            self.num_reported = self.num_skipped
            self.log_skipped(trainer, gan)

    def describe_nonfinite(self, trainer: Trainer, gan: GAN, pending: list[tuple[int, ScalarTensors]]) -> str:
        """Return `loss/D/gp is nan at turn 12, D.body.0.weight is nan by turn 20`."""
        parts = []
        for turn, scalars in pending:
            if nonfinite := first_nonfinite(scalars.items()):
                parts.append(f"{nonfinite[0]} is {nonfinite[1]} at turn {turn}")
                break
        if nonfinite := first_nonfinite(named_state_tensors(gan, trainer.optimizers)):
            parts.append(f"{nonfinite[0]} is {nonfinite[1]} by turn {gan.turn}")
        return ", ".join(parts) or f"another process has numbers that are not finite by turn {gan.turn}"

    @property
    def advice(self) -> str:
        """Return the remedy, for the error line."""
        skip = "" if self.skip else ", callbacks.health.skip=true leaves such updates out"
        return f"the checkpoints in {self.folder} are from before{skip}"

    def log_skipped(self, trainer: Trainer, gan: GAN) -> None:
        """Log the number of updates skipped so far."""
        log.warning("turn %d: updates skipped so far because they were not finite: %d", gan.turn, self.num_skipped)
        log_metrics(trainer.loggers, {"health/skipped": self.num_skipped}, gan.turn, gan.kimg)

    def state_dict(self) -> dict[str, Any]:
        return {"in_a_row": self.consecutive_skips, "skipped": self.num_skipped, "told": self.num_reported}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        counts = [state[name] for name in ("in_a_row", "skipped", "told")]
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError(f"in_a_row, skipped and told must be counts, got {counts}")
        self.consecutive_skips, self.num_skipped, self.num_reported = counts
