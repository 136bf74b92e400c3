"""Early signs that D overfits: its logits for training images, held-out images and fakes."""

import logging

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray
from torch import Tensor

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs, get_datamodule
from gantry.callbacks.health import HealthCheck
from gantry.data.images import InMemoryImages, Split, flip_and_scale
from gantry.loggers.dispatch import log_histogram, log_metrics
from gantry.nets.contract import judge
from gantry.sampling.generate import iter_sample_batches
from gantry.sampling.latents import balanced_labels
from gantry.training.gan import GAN
from gantry.values import evenly_spaced

log = logging.getLogger(__name__)
Logits = NDArray[np.float64]  # [N]


class OverfittingMonitor(GanCallback):
    """Logs mean logits of D every `every` turns: `critic/train`, `critic/held_out` and `critic/fake`, and from them
    `critic/overfitting`, (train - held_out) / (train - fake) (Karras et al. 2020, ADA, eq. 1).

    It is 0 if D judges held-out images like training images, and 1 if it judges them like fakes. D is in evaluation
    mode and gets `num_samples` images of each kind without augmentation: real ones evenly spaced over their split,
    fakes of G. Histograms of the same logits are logged as `logits/histogram/train` and so on. Without held-out images
    in the data set, `held_out` and `overfitting` are left out.
    """

    rank_zero_only = True
    after = (HealthCheck,)

    def __init__(self, every: int, num_samples: int = 1000, batch_size: int = 250, seed: int = 0) -> None:
        self.every, self.num_samples, self.batch_size, self.seed = every, num_samples, batch_size, seed
        self.real_images: dict[str, InMemoryImages] = {}

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        data = get_datamodule(trainer).data
        if not len(data.test):
            log.info("critic/held_out is left out: %s has no held-out images", data.name)
        splits = {"train": data.train, "held_out": data.test}
        self.real_images = {
            name: evenly_spaced_images(split, self.num_samples) for name, split in splits.items() if len(split)
        }

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.is_due(self.every):
            logits = {name: self.compute_real_logits(gan, real) for name, real in self.real_images.items()}
            logits["fake"] = self.compute_fake_logits(gan)
            log_metrics(trainer.loggers, compute_overfitting(logits), gan.turn, gan.kimg)
            for name, values in logits.items():
                log_histogram(trainer.loggers, f"logits/histogram/{name}", values, gan.turn)

    def compute_real_logits(self, gan: GAN, real: InMemoryImages) -> Logits:
        """Return D's logits at real images: -> [N]."""
        return self.compute_logits(gan, flip_and_scale(real.x, None), real.c)

    def compute_fake_logits(self, gan: GAN) -> Logits:
        """Return D's logits at samples of G: -> [num_samples]."""
        x_fake = iter_sample_batches(gan.G, self.seed, 0, self.num_samples, self.batch_size, gan.device)
        return self.compute_logits(
            gan, torch.cat(list(x_fake)), balanced_labels(0, self.num_samples, gan.G.num_classes)
        )

    @torch.no_grad()
    def compute_logits(self, gan: GAN, x: Tensor, c: Tensor) -> Logits:
        """Return D's mean logit at each of x [N, *shape] in [-1, 1]: -> [N]. The mode of D is restored."""
        D = gan.D
        training = D.training
        D.eval()
        x, c = x.to(gan.device, next(D.parameters()).dtype), c.to(gan.device)
        parts = zip(torch.split(x, self.batch_size), torch.split(c, self.batch_size))
        logits = torch.cat([judge(D(x_part, c_part), x_part).logits for x_part, c_part in parts])
        D.train(training)
        return logits.reshape(len(x), -1).mean(1).cpu().double().numpy()


def evenly_spaced_images(split: Split, count: int) -> InMemoryImages:
    """Return at most `count` images, evenly spaced over a split that may be sorted by class."""
    parts = [split.load_range(i, i + 1) for i in evenly_spaced(len(split), count)]
    return InMemoryImages(torch.cat([part.x for part in parts]), torch.cat([part.c for part in parts]))


def compute_overfitting(logits: dict[str, Logits]) -> dict[str, float]:
    """Return the mean of each kind and, given all three, the overfitting: 0 if D cannot separate real from fake."""
    means = {name: float(values.mean()) for name, values in logits.items()}
    if "held_out" in means:
        separation = means["train"] - means["fake"]
        means["overfitting"] = (means["train"] - means["held_out"]) / separation if separation else 0.0
    return {f"critic/{name}": value for name, value in means.items()}
