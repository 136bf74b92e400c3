"""The algorithm: the same turn for every GAN (Goodfellow et al. 2014, Algorithm 1)."""

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from gantry import noise, world
from gantry.augment.none import identity
from gantry.losses.objective import Objective
from gantry.training.ema import Ema, lerp_
from gantry.training.finite import finite
from gantry.training.optim import Optim
from gantry.training.sampling import Net

Scalars = dict[str, Tensor]


class GAN(LightningModule):
    """G and D, what they minimise and how they descend.

    `turns` is the budget, `batch_size` the number of real images of one update of D over all processes. After each
    turn `turn` counts the finished ones; `scores` holds the latest metrics of G_ema, `scored_at` their turn and
    `improved_at` the turn of the best.
    `interrupted` is the number of the signal that ends the run, 0 while it goes on. With `skip_broken`, updates whose
    losses or gradients are not finite are left out; `skipped` counts them.
    """

    def __init__(
        self,
        G: Net,
        D: nn.Module,
        loss: Objective,
        optim: Optim,
        ema: Ema,
        turns: int,
        batch_size: int,
        seed: int,
        augment: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G: Net = G
        self.D = D
        self.G_ema: Net = copy.deepcopy(G).eval().requires_grad_(False)
        self.loss, self.optim, self.ema, self.augment = loss, optim, ema, augment
        self.turns, self.batch_size, self.seed = turns, batch_size, seed
        self.turn, self.scores, self.scored_at, self.improved_at, self.interrupted = 0, dict[str, float](), -1, -1, 0
        self.skip_broken, self.skipped = False, 0

    @property
    def kimg(self) -> float:
        """Thousands of real images shown to D so far."""
        return self.turn * self.kimg_of_turn

    @property
    def kimg_of_turn(self) -> float:
        """Thousands of real images that one turn shows to D."""
        return self.loss.n_critic * self.batch_size / 1000

    @property
    def progress(self) -> float:
        """Share of the budget that is spent: in [0, 1]."""
        return min(self.turn / self.turns, 1.0)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """One turn: x [batches_per_turn, N, *shape] in [-1, 1], c int64 [batches_per_turn, N]."""
        noise.seed_turn(self.seed, self.turn)
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]
        self.schedule(opt_g, opt_d)
        x, c = batch
        updates: list[Scalars] = []
        for k in range(self.loss.n_critic):
            update = self.turn * self.loss.n_critic + k
            updates.append(self.descend(opt_d.optimizer, self.parts(partial(self.d_loss, update), x[k], c[k])))
            self.clip_weights()
        updates.append(self.descend(opt_g, self.parts(self.g_loss, x[-1], c[-1])))
        if world.size() > 1:  # looking for buffers takes time
            world.mean_([buffer for buffer in self.buffers() if buffer.is_floating_point()])
        lerp_(self.G_ema, self.G, self.ema.decay(self.kimg, self.kimg_of_turn))
        self.turn += 1
        return {"losses": {k: v for scalars in updates for k, v in scalars.items()}, "updates": updates}

    def d_loss(self, update: int, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Scalars]:
        """What D minimises on real images x of the classes c and as many fakes."""
        with torch.no_grad():
            x_fake = self.G(z, c)
        critic = self.critic(c)
        real_logits, fake_logits = self.gather(critic(x), critic(x_fake))
        loss = self.loss.d(real_logits, fake_logits).mean()
        scalars = {"loss/D": loss, "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean()}
        for name, term in self.loss.d_terms.items():
            if term.due(update):
                penalty = world.gather(term.penalty(critic, x, x_fake)).mean()
                loss = loss + term.scale(self.progress) * penalty
                scalars[f"loss/D/{name}"] = penalty
        return loss, scalars

    def g_loss(self, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Scalars]:
        """What G minimises; the real images x are looked at by relativistic losses alone."""
        critic = self.critic(c)
        fake_logits = critic(self.G(z, c))
        if self.loss.relativistic:
            real_logits, fake_logits = self.gather(critic(x), fake_logits)
        else:
            real_logits, fake_logits = None, world.gather(fake_logits)
        loss = self.loss.g(fake_logits, real_logits).mean()
        scalars = {"loss/G": loss}
        for name, term in self.loss.g_terms.items():
            if term.due(self.turn):
                penalty = world.gather(term.penalty(self.G, z, c)).mean()
                loss = loss + term.scale(self.progress) * penalty
                scalars[f"loss/G/{name}"] = penalty
        return loss, scalars

    def descend(self, optimizer: Any, losses: Iterable[tuple[Tensor, Scalars]]) -> Scalars:
        """One step on the mean of the losses, each of one part of the batch; -> the scalars, averaged likewise."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()
        total: Scalars = {}
        for loss, scalars in losses:
            self.manual_backward(loss / self.optim.accumulate, inputs=parameters)
            for name, value in scalars.items():
                total[name] = total.get(name, 0) + value.detach() / self.optim.accumulate
        world.mean_([p.grad for p in parameters if p.grad is not None])
        if self.skip_broken and not self.can_descend(parameters, total):
            optimizer.zero_grad()  # a step without gradients moves nothing, but the trainer counts it
            total = {}
        elif self.optim.clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.optim.clip)
        optimizer.step()
        return total

    def can_descend(self, parameters: list[nn.Parameter], scalars: Scalars) -> bool:
        """Whether an update is finite, which all processes see alike; counts those that are not."""
        fine = bool(finite([*(p.grad for p in parameters if p.grad is not None), *scalars.values()]))
        self.skipped += not fine
        return fine

    def parts(
        self, loss: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Scalars]], x: Tensor, c: Tensor
    ) -> Iterator[tuple[Tensor, Scalars]]:
        """The loss of each part of the batch in turn; the graph of one is freed before the next is built.

        Latents are drawn for the whole batch: they belong to its samples, however many parts and processes share it.
        """
        batch = (x, c, self.draw_z(x))
        return (loss(*part) for part in zip(*(tensor.chunk(self.optim.accumulate) for tensor in batch)))

    def critic(self, c: Tensor) -> Callable[[Tensor], Tensor]:
        """D as a function of images alone: x -> logits [N]."""
        return lambda x: self.D(self.augment(x), c).float()

    def draw_z(self, x: Tensor) -> Tensor:
        """Latents for as many samples as there are images in x: -> [N, z_dim]."""
        return noise.randn(len(x), self.G.z_dim, device=x.device)

    @staticmethod
    def gather(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the global batch, since a loss may couple its samples; one message for both."""
        real_logits, fake_logits = world.gather(torch.stack([real_logits, fake_logits], 1)).unbind(1)
        return real_logits, fake_logits

    def schedule(self, *optimizers: Any) -> None:
        """Set the learning rates of this turn."""
        factor = self.optim.schedule(self.progress)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = group["initial_lr"] * factor

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Keep every weight of D in [-c, c] (WGAN, Arjovsky et al. 2017, Algorithm 1, line 7)."""
        if self.loss.weight_clip is not None:
            torch._foreach_clamp_min_(list(self.D.parameters()), -self.loss.weight_clip)
            torch._foreach_clamp_max_(list(self.D.parameters()), self.loss.weight_clip)

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        optimizers = self.optim.G(self.G.parameters()), self.optim.D(self.D.parameters())
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["initial_lr"] = group["lr"]
        return optimizers

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        names = ("turn", "scores", "scored_at", "skipped")
        checkpoint["gan"] = {name: getattr(self, name) for name in names}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["gan"]
        self.turn, self.scores, self.scored_at = state["turn"], state["scores"], state["scored_at"]
        self.skipped = state.get("skipped", 0)  # of runs begun before updates could be skipped
