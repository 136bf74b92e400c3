"""The base class of callbacks: typed hooks for the turns of a GAN, and the order in which callbacks act."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar, TypedDict, cast

from lightning import Callback, LightningModule, Trainer

from gantry.data.datamodule import DataModule
from gantry.errors import UserError
from gantry.training.executor import ScalarTensors
from gantry.training.gan import GAN


class TurnOutputs(TypedDict):
    """Scalars of a turn, on the device: the latest of each name, and those of each update."""

    losses: ScalarTensors
    updates: list[ScalarTensors]


class GanCallback(Callback):
    """Acts at fixed moments of a training run. Subclasses override the hooks below, from `on_setup` to `on_teardown`.

    With `rank_zero_only` the hooks are called on rank 0 alone. `every` is the number of turns between two actions, 0
    for a callback without an interval; the health of the run is checked before each action. At each moment callbacks
    act in the order of the configuration: `after` and `before` name the classes that this one must follow or precede.
    Numbers are logged with `log_metrics(trainer.loggers, ...)` of gantry.loggers.dispatch, or with Lightning's `log`.
    """

    rank_zero_only: ClassVar[bool] = False
    after: ClassVar[tuple[type[Callback], ...]] = ()
    before: ClassVar[tuple[type[Callback], ...]] = ()
    every: int = 0

    def on_setup(self, trainer: Trainer, gan: GAN) -> None:
        """Act before the run: no checkpoint is loaded and the nets are not yet on their device."""

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        """Act before the first turn of this process; the state of a checkpoint is restored."""

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        """Act before a turn; `gan.turn` counts the finished ones."""

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        """Act after a turn, which `gan.turn` includes."""

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        """Act after the last turn, or after the one at which the run stops."""

    def on_run_end(self, trainer: Trainer, gan: GAN) -> None:
        """Act after `on_training_end` of all callbacks; the nets have left their device."""

    def on_teardown(self, trainer: Trainer, gan: GAN) -> None:
        """Release resources."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._acts(trainer):
            self.on_setup(trainer, cast(GAN, pl_module))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._acts(trainer):
            self.on_training_start(trainer, cast(GAN, pl_module))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self._acts(trainer):
            self.on_turn_start(trainer, cast(GAN, pl_module))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        if self._acts(trainer):
            self.on_turn_end(trainer, cast(GAN, pl_module), outputs)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._acts(trainer):
            self.on_training_end(trainer, cast(GAN, pl_module))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._acts(trainer):
            self.on_run_end(trainer, cast(GAN, pl_module))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._acts(trainer):
            self.on_teardown(trainer, cast(GAN, pl_module))

    def _acts(self, trainer: Trainer) -> bool:
        return trainer.is_global_zero or not self.rank_zero_only


def check_order(callbacks: Mapping[str, Callback]) -> None:
    """Raise UserError if callbacks, by key and in the order in which they act, break an `after` or a `before`."""
    for (key, one), (later_key, later) in combinations(callbacks.items(), 2):
        names = type(one).__name__, type(later).__name__
        if isinstance(one, GanCallback) and isinstance(later, one.after):
            rule, got = f"callbacks.{key} must come after callbacks.{later_key}", "{0} before {1}"
        elif isinstance(later, GanCallback) and isinstance(one, later.before):
            rule, got = f"callbacks.{later_key} must come before callbacks.{key}", "{1} after {0}"
        else:
            continue
        raise UserError(f"{rule}, got {got.format(*names)}")


def get_callbacks(trainer: Trainer) -> Sequence[Callback]:
    """Return the callbacks of a trainer, in their order; Lightning does not declare them."""
    return cast(Sequence[Callback], trainer.callbacks)  # type: ignore[attr-defined]


def get_datamodule(trainer: Trainer) -> DataModule:
    """Return the data module of a trainer; Lightning does not declare it."""
    return cast(DataModule, trainer.datamodule)  # type: ignore[attr-defined]
