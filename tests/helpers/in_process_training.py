"""Train a GAN in the process of the test, without the train command."""

from lightning import Callback, Trainer
from omegaconf import DictConfig

from gantry.config.instantiate import build
from gantry.training.gan import GAN


def make_bare_trainer(cfg: DictConfig, *callbacks: Callback) -> Trainer:
    """Return the trainer of a configuration, without loggers and with only these callbacks."""
    trainer: Trainer = build(cfg.trainer, logger=False, callbacks=list(callbacks))
    return trainer


def train_in_process(gan: GAN, cfg: DictConfig, trainer: Trainer) -> GAN:
    """Train a GAN on the data of its configuration."""
    data = build(cfg.data, batches_per_turn=gan.loss.batches_per_turn, seed=0)
    trainer.fit(gan, datamodule=data)
    return gan
