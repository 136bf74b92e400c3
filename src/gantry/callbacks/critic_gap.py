"""How D judges images that it is trained on, images that it never sees, and fakes: its overfitting, seen early."""

import logging
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from gantry.data.images import Images, Split, to_float
from gantry.data.order import evenly
from gantry.runs.loggers import log_numbers
from gantry.training.gan import GAN
from gantry.training.sampling import labels, samples

log = logging.getLogger(__name__)


class CriticGap(Callback):
    """Mean logits of D, every `every` turns: `critic/train`, `critic/held_out` and `critic/fake`, and of the three
    `critic/overfitting`, (train - held_out) / (train - fake) (Karras et al. 2020, ADA, eq. 1).

    It is 0 as long as D judges held-out images as it does those it is trained on, and 1 once it takes them for fakes.
    D is in evaluation mode and sees `num_samples` images of each kind as they are, without augmentation; the real ones
    are spread evenly over their split, the fakes are G's. A data set that holds no images apart leaves this out.
    """

    def __init__(self, every: int, num_samples: int = 1000, batch_size: int = 250, seed: int = 0) -> None:
        self.every, self.num_samples, self.batch_size, self.seed = every, num_samples, batch_size, seed
        self.train: Images | None = None
        self.held_out: Images | None = None

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]  # noqa: ARG002
        data = trainer.datamodule.data  # type: ignore[attr-defined]
        if not trainer.is_global_zero:
            return
        if not len(data.test):
            log.info("callbacks.critic_gap is left out: %s holds no images apart", data.name)
            return
        self.train, self.held_out = spread(data.train, self.num_samples), spread(data.test, self.num_samples)

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if self.train and self.held_out and (gan.turn % self.every == 0 or gan.turn == gan.turns):
            numbers = gap(self.on_real(gan, self.train), self.on_real(gan, self.held_out), self.on_fakes(gan))
            log_numbers(trainer.loggers, numbers, gan.turn, gan.kimg)

    def on_real(self, gan: GAN, real: Images) -> float:
        """The mean logit of real images."""
        return self.mean_logit(gan, to_float(real.x, None), real.c)

    def on_fakes(self, gan: GAN) -> float:
        """The mean logit of samples of G."""
        x_fake = samples(gan.G, self.seed, 0, self.num_samples, self.batch_size, gan.device)
        return self.mean_logit(gan, torch.cat(list(x_fake)), labels(0, self.num_samples, gan.G.num_classes))

    @torch.no_grad()
    def mean_logit(self, gan: GAN, x: Tensor, c: Tensor) -> float:
        """The mean of D's logits at x [N, *shape] in [-1, 1]; D is left in the mode it was in."""
        D: nn.Module = gan.D
        training = D.training
        D.eval()
        x, c = x.to(gan.device, next(D.parameters()).dtype), c.to(gan.device)
        logits = torch.cat([D(*part) for part in zip(torch.split(x, self.batch_size), torch.split(c, self.batch_size))])
        D.train(training)
        return float(logits.cpu().double().mean())


def spread(split: Split, count: int) -> Images:
    """At most `count` images, spread evenly over a split, which may be sorted by class."""
    parts = [split.part(i, i + 1) for i in evenly(min(count, len(split)), len(split)).tolist()]
    return Images(torch.cat([part.x for part in parts]), torch.cat([part.c for part in parts]))


def gap(train: float, held_out: float, fake: float) -> dict[str, float]:
    """The three means and what they say of D; a D that does not tell real from fake has nothing to overfit with."""
    overfitting = (train - held_out) / (train - fake) if train != fake else 0.0
    means = {"train": train, "held_out": held_out, "fake": fake}
    return {f"critic/{name}": value for name, value in (means | {"overfitting": overfitting}).items()}
