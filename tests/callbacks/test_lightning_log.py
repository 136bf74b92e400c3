"""Numbers that callbacks written for Lightning log reach the loggers of the run."""

from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torchmetrics import MeanMetric

from compose_config import compose_config
from gantry.callbacks.lightning_log import redirect_log
from gantry.commands.train import build_gan
from gantry.config.instantiate import build
from gantry.training.gan import GAN
from stubs import RecordingLogger


class LoggingCallback(Callback):
    """Logs a number at the start and others at every second turn, in the ways that Lightning knows."""

    def on_train_start(self, trainer: Trainer, gan: Any) -> None:
        self.log("start", 0.1)

    def on_train_batch_end(self, trainer: Trainer, gan: Any, *_: Any) -> None:
        if gan.turn % 2 == 0:
            self.log("own", 0.5 * gan.turn)
            gan.log("epoch", torch.tensor(3), on_epoch=True, sync_dist=True)
            self.log_dict({"dict": 1.0})
            self.log("quiet", 1.0, logger=False)


def fit(*callbacks: Callback, turns: int = 5) -> tuple[GAN, list[tuple[int, dict[str, Any]]]]:
    cfg = compose_config("model=mlp", "data=ring", "data.batch_size=8", f"turns={turns}")
    gan, logger = build_gan(cfg), RecordingLogger()
    trainer: Trainer = build(cfg.trainer, logger=[logger], callbacks=[*callbacks])
    redirect_log(trainer, gan)
    data = build(cfg.data, batches_per_turn=gan.loss.batches_per_turn, seed=0)
    trainer.fit(gan, datamodule=data)
    return gan, logger.rows


def test_numbers_logged_through_lightning_are_in_the_row_of_their_turn_and_in_no_other() -> None:
    _, rows = fit(LoggingCallback())
    numbers = [(turn, {k: v for k, v in row.items() if k not in ("turn", "kimg")}) for turn, row in rows]
    assert numbers == [
        (0, {"start": 0.1}),
        (2, {"own": 1.0}),
        (2, {"epoch": 3.0}),
        (2, {"dict": 1.0}),
        (4, {"own": 2.0}),
        (4, {"epoch": 3.0}),
        (4, {"dict": 1.0}),
    ]
    assert [(turn, row["turn"], row["kimg"]) for turn, row in rows[-1:]] == [(4, 4, pytest.approx(0.032))]


def test_a_metric_is_logged_with_its_value() -> None:
    class MetricCallback(Callback):
        def on_train_batch_end(self, trainer: Trainer, gan: Any, *_: Any) -> None:
            gan.mean(float(gan.turn))
            self.log("mean", gan.mean, metric_attribute="mean")

        def setup(self, trainer: Trainer, gan: Any, stage: str) -> None:
            gan.mean = MeanMetric()

    assert [(turn, row["mean"]) for turn, row in fit(MetricCallback(), turns=3)[1]] == [(1, 1.0), (2, 1.5), (3, 2.0)]


def test_callbacks_that_monitor_a_logged_number_still_find_it() -> None:
    class Stop(EarlyStopping):
        def on_train_batch_end(self, trainer: Trainer, gan: Any, *_: Any) -> None:
            self._run_early_stopping_check(trainer)

    gan, _ = fit(LoggingCallback(), Stop("own", mode="min", patience=1, strict=False), turns=20)
    assert gan.turn < 20
