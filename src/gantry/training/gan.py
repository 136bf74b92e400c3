"""The algorithm: the same turn for every GAN (Goodfellow et al. 2014, Algorithm 1)."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from gantry import rng
from gantry.distributed import collectives
from gantry.losses.objective import Objective
from gantry.nets.contract import Net
from gantry.training.ema import Ema, WeightAverage
from gantry.training.executor import EagerExecutor, ScalarTensors, TurnExecutor
from gantry.training.finite import all_finite
from gantry.training.optim import Optim, accumulate_and_step, named_param_groups


class GAN(LightningModule):
    """G and D, what they minimise and how they descend.

    `turns` is the budget, `batch_size` the number of real images of one update of D over all processes. After each
    turn `turn` counts the finished ones; `scores` holds the latest metrics of G_ema, `scored_at` their turn and
    `improved_at` the turn of the best.
    `interrupted` is the number of the signal that ends the run, 0 while it goes on. With `skip_broken`, updates whose
    losses or gradients are not finite are left out; `skipped` counts them. `play` is how the updates of a turn are
    made: as they are written here, or as a graph of a GPU; `now` holds the numbers of the turn.
    """

    turn_values: Mapping[str, Any]

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
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G: Net = G
        self.D = D
        self.G_ema: Net = copy.deepcopy(G).eval().requires_grad_(False)
        self.weight_average = WeightAverage(self.G_ema, self.G)
        self.loss, self.optim, self.ema, self.augment = loss, optim, ema, augment or nn.Identity()
        self.turns, self.batch_size, self.seed = turns, batch_size, seed
        self.turn, self.scores, self.scored_at, self.improved_at, self.interrupt_signal = (
            0,
            dict[str, float](),
            -1,
            -1,
            0,
        )
        self.skip_nonfinite, self.num_skipped = False, 0
        self.executor: TurnExecutor = EagerExecutor()
        self.compile_nets(lambda net: net)

    def compile_nets(self, compiled: Callable[[Any], Any]) -> None:
        """Have G and D computed by what `compiled` makes of them, but where a penalty differentiates them twice."""
        self.compiled_G, self.compiled_D = (
            partial(compiled(self.G)),
            partial(compiled(self.D)),
        )  # partial: no second submodule

    @property
    def kimg(self) -> float:
        """Thousands of real images shown to D so far."""
        return self.turn * self.kimg_per_turn

    @property
    def kimg_per_turn(self) -> float:
        """Thousands of real images that one turn shows to D."""
        return self.loss.n_critic * self.batch_size / 1000

    @property
    def progress(self) -> float:
        """Share of the budget that is spent: in [0, 1]."""
        return min(self.turn / self.turns, 1.0)

    def is_due(self, every: int) -> bool:
        """Return True at every `every`-th turn and at the last one."""
        return self.turn % every == 0 or self.turn == self.turns

    def on_train_start(self) -> None:
        self.executor.setup(self.trainer.optimizers)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """One turn: x [batches_per_turn, N, *shape] in [-1, 1], c int64 [batches_per_turn, N]."""
        rng.seed_turn(self.seed, self.turn)
        self.turn_values = self.executor.prepare_values(self.compute_turn_values(), self.device)
        for name, group in named_param_groups(self.trainer.optimizers):
            group["lr"] = self.turn_values[name]
        updates = self.executor(self.run_updates, self.loss.due_terms(self.turn), *batch)
        self.turn += 1
        self.advance_global_step()
        return {"losses": {k: v for scalars in updates for k, v in scalars.items()}, "updates": updates}

    def run_updates(self, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        """n_critic updates of D, one of G and one of G_ema: -> the scalars of those of D and G."""
        opt_g, opt_d = self.trainer.optimizers
        updates: list[ScalarTensors] = []
        for k in range(self.loss.n_critic):
            updates.append(self.step_optimizer(opt_d, self.iter_losses(partial(self.d_loss, k), x[k], c[k])))
            self.clip_weights()
        updates.append(self.step_optimizer(opt_g, self.iter_losses(self.g_loss, x[-1], c[-1])))
        if collectives.world_size() > 1:  # looking for buffers takes time
            collectives.all_reduce_mean_([buffer for buffer in self.buffers() if buffer.is_floating_point()])
        self.weight_average.lerp_(self.turn_values["decay"])
        return updates

    def d_loss(self, k: int, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, ScalarTensors]:
        """What D minimises in the k-th update of a turn, on real images x of the classes c and as many fakes."""
        with torch.no_grad():
            x_fake = self.generate_fakes(z, c, x.dtype)
        critic = self.make_critic(self.compiled_D, c)
        real_logits, fake_logits = collectives.all_gather_pair(critic(x), critic(x_fake))
        loss = self.loss.d(real_logits, fake_logits).mean()
        scalars = {"loss/D": loss, "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean()}
        for name, term in self.loss.d_terms.items():
            if term.is_due(self.turn * self.loss.n_critic + k):
                penalty = collectives.all_gather(term.penalty(self.make_critic(self.D, c), x, x_fake)).mean()
                loss = loss + self.turn_values[f"D/{name}"] * penalty
                scalars[f"loss/D/{name}"] = penalty
        return loss, scalars

    def g_loss(self, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, ScalarTensors]:
        """What G minimises; the real images x are looked at by relativistic losses alone."""
        critic = self.make_critic(self.compiled_D, c)
        fake_logits = critic(self.generate_fakes(z, c, x.dtype))
        if self.loss.relativistic:
            real_logits, fake_logits = collectives.all_gather_pair(critic(x), fake_logits)
        else:
            real_logits, fake_logits = None, collectives.all_gather(fake_logits)
        loss = self.loss.g(fake_logits, real_logits).mean()
        scalars = {"loss/G": loss}
        for name, term in self.loss.g_terms.items():
            if term.is_due(self.turn):
                penalty = collectives.all_gather(term.penalty(self.G, z, c)).mean()
                loss = loss + self.turn_values[f"G/{name}"] * penalty
                scalars[f"loss/G/{name}"] = penalty
        return loss, scalars

    def generate_fakes(self, z: Tensor, c: Tensor, dtype: torch.dtype) -> Tensor:
        """Images of G in the float type of real ones: autocast may make them bfloat16, which penalties cannot mix."""
        images: Tensor = self.compiled_G(z, c).to(dtype)
        return images

    def step_optimizer(self, optimizer: Optimizer, losses: Iterable[tuple[Tensor, ScalarTensors]]) -> ScalarTensors:
        """One step, unless its numbers are not finite and such steps are skipped; -> the scalars of its batch."""
        return accumulate_and_step(optimizer, losses, self.optim, self.can_step)

    def can_step(self, numbers: list[Tensor]) -> bool:
        """Whether an update is finite, which all processes see alike; counts those that are not."""
        fine = not self.skip_nonfinite or bool(all_finite(numbers))
        self.num_skipped += not fine
        return fine

    def iter_losses(
        self, loss: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ScalarTensors]], x: Tensor, c: Tensor
    ) -> Iterator[tuple[Tensor, ScalarTensors]]:
        """The loss of each part of the batch in turn; the graph of one is freed before the next is built.

        Latents are drawn for the whole batch: they belong to its samples, however many parts and processes share it.
        """
        batch = (x, c, self.sample_z(x))
        return (loss(*part) for part in zip(*(tensor.chunk(self.optim.accumulate) for tensor in batch)))

    def make_critic(self, D: Callable[..., Tensor], c: Tensor) -> Callable[[Tensor], Tensor]:
        """D as a function of images alone: x -> logits [N]."""
        return lambda x: D(self.augment(x), c).float()

    def sample_z(self, x: Tensor) -> Tensor:
        """Latents for as many samples as there are images in x: -> [N, z_dim]."""
        return rng.randn(len(x), self.G.z_dim, device=x.device)

    def compute_turn_values(self) -> dict[str, float]:
        """What differs from turn to turn: the decay of the average, learning rates, the scales of the terms."""
        rate = self.optim.schedule(self.progress)
        rates = {name: group["initial_lr"] * rate for name, group in named_param_groups(self.trainer.optimizers)}
        return (
            rates
            | self.loss.compute_scales(self.progress)
            | {"decay": self.ema.compute_decay(self.kimg, self.kimg_per_turn)}
        )

    def advance_global_step(self) -> None:
        """Tell the trainer, which counts what its own optimisers do, that one turn was one step."""
        counter: Any = self.optimizers()[0]  # type: ignore[index]
        counter._on_before_step()
        counter._on_after_step()

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Keep every weight of D in [-c, c] (WGAN, Arjovsky et al. 2017, Algorithm 1, line 7)."""
        if self.loss.weight_clip is not None:
            torch._foreach_clamp_min_(list(self.D.parameters()), -self.loss.weight_clip)
            torch._foreach_clamp_max_(list(self.D.parameters()), self.loss.weight_clip)

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        return self.optim.create_optimizers(self.G, self.D)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = {"turn": self.turn, "scores": self.scores, "scored_at": self.scored_at, "skipped": self.num_skipped}
        checkpoint["gan"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["gan"]
        self.turn, self.scores, self.scored_at = state["turn"], state["scores"], state["scored_at"]
        self.num_skipped = state.get("skipped", 0)  # of runs begun before updates could be skipped
