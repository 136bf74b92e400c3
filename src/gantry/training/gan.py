"""The training algorithm: the same turn for every GAN (Goodfellow et al. 2014, Algorithm 1)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from gantry import rng
from gantry.distributed import collectives
from gantry.losses.objective import (
    Objective,
    add_terms,
    average_top,
    find_differentiated_images,
)
from gantry.losses.term import Term
from gantry.losses.update import Batch, Update
from gantry.nets.contract import Discriminator, Generator, Judgement, check_generator, count_latent_numbers, judge
from gantry.schedules import Clock, compute_number
from gantry.training.ema import Ema, WeightAverage
from gantry.training.executor import EagerExecutor, ScalarTensors, TurnExecutor, TurnValues
from gantry.training.finite import all_finite
from gantry.training.optim import NetName, Optim, clip_weights_
from gantry.training.run_state import RunState
from gantry.training.stateful_parts import observe_scalars, set_clock

LossFunction = Callable[[Batch], tuple[Tensor, ScalarTensors]]  # -> loss [], scalars


class GAN(LightningModule):
    """G and D, their losses and their optimisers.

    `turns` is the budget, `batch_size` the number of real images of one update of D over all processes. `turn` counts
    the finished turns; `run_state` is shared by the callbacks. With `skip_nonfinite`, updates whose losses or gradients
    are not finite are left out and counted in `run_state`. `executor` runs the updates of a turn, `values` holds the
    numbers of the turn and `due` the terms of its losses. `class_shares` [K] are the shares of the classes in the data,
    for fakes whose classes are drawn. The augmentation may have state: see `gantry.training.stateful_parts`.
    """

    class_shares: Tensor

    def __init__(
        self,
        G: Generator,
        D: Discriminator,
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
        check_generator(G)
        self.G, self.D = G, D
        self.G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        self.weight_average = WeightAverage(self.G_ema, self.G)
        self.loss, self.optim, self.ema, self.augment = loss, optim, ema, augment or nn.Identity()
        self.loss_modules = nn.ModuleDict(loss.list_modules())
        self.register_buffer("class_shares", torch.full((max(G.num_classes, 1),), 1 / max(G.num_classes, 1)), False)
        loss.check_parts(optim.accumulate)
        self.turns, self.batch_size, self.seed = turns, batch_size, seed
        self.turn, self.run_state, self.skip_nonfinite = 0, RunState(), False
        self.executor: TurnExecutor = EagerExecutor()
        self.compile_nets(lambda net: net)

    def compile_nets(self, compile: Callable[[Any], Any]) -> None:
        """Use compile(G) and compile(D) for losses; penalties differentiate twice and use the nets themselves."""
        self.compiled_G = partial(compile(self.G))  # partial: else they would be submodules once more
        self.compiled_D = partial(compile(self.D))

    @property
    def kimg(self) -> float:
        """Thousands of real images shown to D so far."""
        return self.turn * self.kimg_per_turn

    @property
    def kimg_per_turn(self) -> float:
        """Thousands of real images that one turn shows to D."""
        return self.loss.n_critic * self.batch_size / 1000

    @property
    def clock(self) -> Clock:
        """The time of training, which schedules follow."""
        return Clock(self.turn, self.kimg, min(self.turn / self.turns, 1.0))

    def is_due(self, every: int) -> bool:
        """Return True at every `every`-th turn and at the last one."""
        return self.turn % every == 0 or self.turn == self.turns

    def on_train_start(self) -> None:
        self.executor.setup(self.trainer.optimizers)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """One turn: x [batches_per_turn, N, *shape] in [-1, 1], c int64 [batches_per_turn, N]."""
        rng.seed_turn(self.seed, self.turn)
        self.due = self.loss.due_terms(self.turn)
        self.values = self.executor.prepare_values(self.compute_turn_values(), self.device)
        self.optim.set_rates_(self.trainer.optimizers, self.values.lr, self.clock)
        set_clock([self.augment], self.clock)
        updates = self.executor(self.run_updates, self.due, *batch)
        self.turn += 1
        self.advance_global_step()
        return {"losses": {k: v for scalars in updates for k, v in scalars.items()}, "updates": updates}

    def run_updates(self, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        """Update D n_critic times, then G, then G_ema: -> the scalars of each update of D and G."""
        updates: list[ScalarTensors] = []
        for k in range(self.loss.n_critic):
            d_terms = {name: self.loss.d_terms[name] for name in self.due.d[k]}
            updates.append(self.minimize("D", partial(self.d_loss, d_terms), x[k], c[k]))
            clip_weights_(self.D, self.loss.weight_clip)
            observe_scalars([*(term.penalty for term in d_terms.values()), self.augment], updates[-1])
        g_terms = {name: self.loss.g_terms[name] for name in self.due.g}
        updates.append(self.minimize("G", partial(self.g_loss, g_terms), x[-1], c[-1], self.loss.g_batch))
        observe_scalars((term.penalty for term in g_terms.values()), updates[-1])
        if collectives.world_size() > 1:  # looking for buffers takes time
            collectives.all_reduce_mean_([buffer for buffer in self.buffers() if buffer.is_floating_point()])
        self.weight_average.lerp_(self.values.ema_decay)
        return updates

    def minimize(
        self, net: NetName, compute_loss: LossFunction, x: Tensor, c: Tensor, fakes_per_image: int = 1
    ) -> ScalarTensors:
        """Make one step on the mean loss of a batch of the global size, in parts: -> its scalars, {} if left out.

        Latents and the classes of fakes are drawn for the whole batch: they belong to its samples, however many parts
        and processes share it.
        """
        optimizer = self.trainer.optimizers["GD".index(net)]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        parts, total = self.optim.accumulate, ScalarTensors()
        optimizer.zero_grad()
        for part in zip(*(tensor.chunk(parts) for tensor in (x, c, *self.sample_latents(x, c, fakes_per_image)))):
            loss, scalars = compute_loss(Batch(*part))
            torch.autograd.backward(loss, loss.new_full((), 1 / parts), inputs=parameters)
            for name, value in scalars.items():
                total[name] = total.get(name, 0) + value.detach() / parts
        gradients = [p.grad for p in parameters if p.grad is not None]
        collectives.all_reduce_mean_(gradients)
        if not self.may_step([*gradients, *total.values()]):
            return {}
        self.optim.clip_gradients_(net, parameters)
        optimizer.step()
        torch.clear_autocast_cache()  # it holds the weights as they were before the step
        return total

    def d_loss(self, terms: Mapping[str, Term], batch: Batch) -> tuple[Tensor, ScalarTensors]:
        """Return what D minimises on real images and fakes."""
        with torch.no_grad():
            x_fake = self.generate_fakes(batch)
        update = self.judge_images(("x_real", "x_fake"), batch, x_fake, terms)
        assert update.real is not None
        real_logits, fake_logits = collectives.all_gather_pair(update.real.logits, update.fake.logits)
        loss = self.loss.d(real_logits, fake_logits).mean()
        scalars = {"loss/D": loss, "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean()}
        if hasattr(self.augment, "observe"):
            scalars["logits/real_sign"] = real_logits.sign().mean()
        return add_terms(loss, scalars, "loss/D", terms, self.values.d_scale, update)

    def g_loss(self, terms: Mapping[str, Term], batch: Batch) -> tuple[Tensor, ScalarTensors]:
        """Return what G minimises on fakes; only relativistic losses use the real images."""
        judged = ("x_fake", "x_real") if self.loss.relativistic else ("x_fake",)
        update = self.judge_images(judged, batch, self.generate_fakes(batch), terms)
        if update.real is not None:
            real_logits, fake_logits = collectives.all_gather_pair(update.real.logits, update.fake.logits)
        else:
            real_logits, fake_logits = None, collectives.all_gather(update.fake.logits)
        loss = average_top(self.loss.g(fake_logits, real_logits), fake_logits, self.values.top_k)
        return add_terms(loss, {"loss/G": loss}, "loss/G", terms, self.values.g_scale, update)

    def generate_fakes(self, batch: Batch) -> Tensor:
        """Return images of G, cast to the dtype of the real ones: under autocast G may return bfloat16."""
        images: Tensor = self.compiled_G(batch.z, batch.c_fake).to(batch.x.dtype)
        return images

    def judge_images(self, judged: Sequence[str], batch: Batch, x_fake: Tensor, terms: Mapping[str, Term]) -> Update:
        """Return the images, D's judgements of those named in `judged`, and a graph from these to what terms need."""
        _, c, z, c_fake = batch
        images, classes = {"x_real": batch.x, "x_fake": x_fake}, {"x_real": c, "x_fake": c_fake}
        differentiated = find_differentiated_images(terms)
        images |= {name: images[name].requires_grad_() for name in differentiated}
        D = self.D if differentiated else self.compiled_D
        judgements = {name: self.judge_augmented(D, images[name], classes[name]) for name in judged}
        return Update(
            x_real=images["x_real"],
            x_fake=images["x_fake"],
            c=c,
            c_fake=c_fake,
            z=z,
            real=judgements.get("x_real"),
            fake=judgements["x_fake"],
            judge=partial(self.judge_augmented, self.D),
            D=self.D,
            G=self.G,
            is_augmented=not isinstance(self.augment, nn.Identity),
        )

    def judge_augmented(self, D: Callable[..., Tensor | Judgement], x: Tensor, c: Tensor) -> Judgement:
        """Return D's judgement of images x of the classes c, behind the augmentation."""
        return judge(D(self.augment(x), c), x)

    def sample_latents(self, x: Tensor, c: Tensor, fakes_per_image: int) -> tuple[Tensor, Tensor]:
        """Draw latents for that many fakes per image: x [N, *shape], c [N] -> z [M, z_dim], classes [M]."""
        z = rng.randn(len(x) * fakes_per_image, count_latent_numbers(self.G), device=x.device)
        if self.loss.fake_classes == "drawn":
            return z, rng.rand_classes(len(z), self.class_shares, device=x.device)
        return z, c.repeat_interleave(fakes_per_image, output_size=len(z)) if fakes_per_image > 1 else c

    def may_step(self, numbers: list[Tensor]) -> bool:
        """Return False, and count the skipped update, if its numbers must be finite and are not.

        All processes see the same numbers.
        """
        fine = not self.skip_nonfinite or bool(all_finite(numbers))
        self.run_state.num_skipped += not fine
        return fine

    def compute_turn_values(self) -> TurnValues:
        """Return the numbers of the coming turn: learning rates, the decay of the EMA, the scales of the terms, ..."""
        return TurnValues(
            lr=self.optim.compute_rates(self.trainer.optimizers, self.clock),
            ema_decay=self.ema.compute_decay(self.clock, self.kimg_per_turn),
            d_scale={name: term.compute_scale(self.clock) for name, term in self.loss.d_terms.items()},
            g_scale={name: term.compute_scale(self.clock) for name, term in self.loss.g_terms.items()},
            top_k=compute_number(self.loss.top_k, self.clock) if self.loss.learns_from_top else None,
        )

    def advance_global_step(self) -> None:
        """Count one step for the turn: in manual optimisation the trainer counts only what its own wrappers step."""
        counter: Any = self.optimizers()[0]  # type: ignore[index]
        counter._on_before_step()
        counter._on_after_step()

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        return self.optim.create_optimizers(self.G, self.D)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["gan"] = {"turn": self.turn, **self.run_state.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.turn = checkpoint["gan"]["turn"]
        self.run_state.load_state_dict(checkpoint["gan"])
