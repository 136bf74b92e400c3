"""A run that is broken ends, before anything is written of what it has become."""

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
    """Ends a run in which a loss, a weight or a moment of an optimiser is NaN or infinite.

    It looks every `patience` turns, and at each turn at which a later callback acts, so that no broken generator is
    scored, shown or kept; in between the losses stay on the device and nothing waits for it. All processes end
    together. Comes before all callbacks that write anything of the nets.

    With `skip`, updates whose losses or gradients are not finite are left out, the same ones on all processes, and
    counted as `health/skipped`; the host then waits for each update. What is broken all the same, and `patience` turns
    in a row with an update left out, end the run.
    """

    state_key = "Health"  # in checkpoints: the name that the class once had

    def __init__(self, folder: str, patience: int = 20, skip: bool = False) -> None:
        self.folder, self.patience, self.skip = folder, patience, skip
        self.later_intervals: set[int] = set()
        self.pending_losses: list[
            tuple[int, ScalarTensors]
        ] = []  # turns since the last look, and the losses of their updates
        self.checked_at = -1
        self.consecutive_skips, self.num_skipped, self.num_reported = (
            0,
            0,
            0,
        )  # turns with a skipped update; updates; of them, told of

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        gan.skip_nonfinite = self.skip
        callbacks = get_callbacks(trainer)
        later = callbacks[callbacks.index(self) + 1 :]
        self.later_intervals = {callback.every for callback in later if isinstance(callback, GanCallback)} - {0}

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.pending_losses += [(gan.turn, scalars) for scalars in outputs["updates"]]
        self.consecutive_skips = self.consecutive_skips + 1 if gan.num_skipped > self.num_skipped else 0
        self.num_skipped = gan.num_skipped
        if any(gan.is_due(every) for every in {self.patience, *self.later_intervals}):
            self.check_state(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        if self.checked_at != gan.turn:
            self.check_state(trainer, gan)

    def check_state(self, trainer: Trainer, gan: GAN) -> None:
        """Raise RunError if the run is broken; every process must call it."""
        seen, self.pending_losses, self.checked_at = self.pending_losses, [], gan.turn
        losses = [value for _, scalars in seen for value in scalars.values()]
        if not is_state_finite(gan, trainer.optimizers, *losses):
            raise RunError(f"{self.describe_nonfinite(trainer, gan, seen)}; {self.advice}")
        if self.consecutive_skips >= self.patience:
            raise RunError(
                f"an update was skipped in each of the last {self.consecutive_skips} turns, up to turn {gan.turn}"
            )
        if gan.num_skipped > self.num_reported:
            self.num_reported = gan.num_skipped
            self.log_skipped(trainer, gan)

    def describe_nonfinite(self, trainer: Trainer, gan: GAN, seen: list[tuple[int, ScalarTensors]]) -> str:
        """`loss/D/gp is nan at turn 12, D.body.0.weight is nan by turn 20`."""
        found = []
        for turn, scalars in seen:
            if broken := first_nonfinite(scalars.items()):
                found.append(f"{broken[0]} is {broken[1]} at turn {turn}")
                break
        if broken := first_nonfinite(named_state_tensors(gan, trainer.optimizers)):
            found.append(f"{broken[0]} is {broken[1]} by turn {gan.turn}")
        return ", ".join(found) or f"another process has numbers that are not finite by turn {gan.turn}"

    @property
    def advice(self) -> str:
        """What can be done about it."""
        skip = "" if self.skip else ", callbacks.health.skip=true leaves such updates out"
        return f"the checkpoints in {self.folder} are from before{skip}"

    def log_skipped(self, trainer: Trainer, gan: GAN) -> None:
        """Say how many updates have been left out."""
        log.warning("turn %d: updates skipped so far since they were not finite: %d", gan.turn, gan.num_skipped)
        log_metrics(trainer.loggers, {"health/skipped": gan.num_skipped}, gan.turn, gan.kimg)

    def state_dict(self) -> dict[str, Any]:
        return {"in_a_row": self.consecutive_skips, "skipped": self.num_skipped, "told": self.num_reported}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.consecutive_skips, self.num_skipped, self.num_reported = state["in_a_row"], state["skipped"], state["told"]
