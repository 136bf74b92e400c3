"""A run that is broken ends, before anything is written of what it has become."""

import logging
from typing import Any

from lightning import Callback, Trainer

from gantry.errors import RunError
from gantry.loggers.dispatch import log_metrics
from gantry.training.executor import ScalarTensors
from gantry.training.finite import first_nonfinite, is_state_finite, named_state_tensors
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class HealthCheck(Callback):
    """Ends a run in which a loss, a weight or a moment of an optimiser is NaN or infinite.

    It looks every `patience` turns, and at each turn at which a later callback acts, so that no broken generator is
    scored, shown or kept; in between the losses stay on the device and nothing waits for it. All processes end
    together. Comes before all callbacks that write anything of the nets.

    With `skip`, updates whose losses or gradients are not finite are left out, the same ones on all processes, and
    counted as `health/skipped`; the host then waits for each update. What is broken all the same, and `patience` turns
    in a row with an update left out, end the run.
    """

    def __init__(self, folder: str, patience: int = 20, skip: bool = False) -> None:
        self.folder, self.patience, self.skip = folder, patience, skip
        self.others: set[int] = set()
        self.seen: list[tuple[int, ScalarTensors]] = []  # turns since the last look, and the losses of their updates
        self.looked_at = -1
        self.in_a_row, self.skipped, self.told = 0, 0, 0  # turns with a skipped update; updates; of them, told of

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        gan.skip_broken = self.skip
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        later = callbacks[callbacks.index(self) + 1 :]
        self.others = {callback.every for callback in later if hasattr(callback, "every")}

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, gan: GAN, outputs: dict[str, Any], *_: Any
    ) -> None:
        self.seen += [(gan.turn, scalars) for scalars in outputs["updates"]]
        self.in_a_row = self.in_a_row + 1 if gan.skipped > self.skipped else 0
        self.skipped = gan.skipped
        if gan.turn == gan.turns or any(gan.turn % every == 0 for every in {self.patience, *self.others}):
            self.look(trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.looked_at != gan.turn:
            self.look(trainer, gan)

    def look(self, trainer: Trainer, gan: GAN) -> None:
        """Raise RunError if the run is broken; every process must call it."""
        seen, self.seen, self.looked_at = self.seen, [], gan.turn
        losses = [value for _, scalars in seen for value in scalars.values()]
        if not is_state_finite(gan, trainer.optimizers, *losses):
            raise RunError(f"{self.what_broke(trainer, gan, seen)}; {self.advice}")
        if self.in_a_row >= self.patience:
            raise RunError(f"an update was skipped in each of the last {self.in_a_row} turns, up to turn {gan.turn}")
        if gan.skipped > self.told:
            self.told = gan.skipped
            self.tell(trainer, gan)

    def what_broke(self, trainer: Trainer, gan: GAN, seen: list[tuple[int, ScalarTensors]]) -> str:
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

    def tell(self, trainer: Trainer, gan: GAN) -> None:
        """Say how many updates have been left out."""
        log.warning("turn %d: updates skipped so far since they were not finite: %d", gan.turn, gan.skipped)
        log_metrics(trainer.loggers, {"health/skipped": gan.skipped}, gan.turn, gan.kimg)

    def state_dict(self) -> dict[str, Any]:
        return {"in_a_row": self.in_a_row, "skipped": self.skipped, "told": self.told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.in_a_row, self.skipped, self.told = state["in_a_row"], state["skipped"], state["told"]
