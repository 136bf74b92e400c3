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
from gantry.losses.objective import DueTerms, Objective, Term, add_terms, find_differentiated_images
from gantry.losses.update import Update
from gantry.nets.contract import Discriminator, Generator, Judgement, check_generator, count_latent_numbers, judge
from gantry.training.ema import Ema, WeightAverage
from gantry.training.executor import EagerExecutor, ScalarTensors, TurnExecutor, TurnValues
from gantry.training.finite import all_finite
from gantry.training.optim import Optim, iter_param_groups, set_learning_rates
from gantry.training.run_state import RunState

LossFunction = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ScalarTensors]]  # (x, c, z) -> loss [], scalars


class GAN(LightningModule):
    """G and D, their losses and their optimisers.

    `turns` is the budget, `batch_size` the number of real images of one update of D over all processes. `turn` counts
    the finished turns; `run_state` is shared by the callbacks. With `skip_nonfinite`, updates whose losses or gradients
    are not finite are left out and counted in `run_state`. `executor` runs the updates of a turn, `values` holds the
    numbers of the turn and `due` the terms of its losses.
    """

    values: TurnValues
    due: DueTerms

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
    def progress(self) -> float:
        """Fraction of the budget that is spent: in [0, 1]."""
        return min(self.turn / self.turns, 1.0)

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
        set_learning_rates(self.trainer.optimizers, self.values.lr)
        updates = self.executor(self.run_updates, self.due, *batch)
        self.turn += 1
        self.advance_global_step()
        return {"losses": {k: v for scalars in updates for k, v in scalars.items()}, "updates": updates}

    def run_updates(self, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        """Update D n_critic times, then G, then G_ema: -> the scalars of each update of D and G."""
        opt_g, opt_d = self.trainer.optimizers
        updates: list[ScalarTensors] = []
        for k in range(self.loss.n_critic):
            updates.append(self.minimize(opt_d, partial(self.d_loss, k), x[k], c[k]))
            self.clip_weights()
        updates.append(self.minimize(opt_g, self.g_loss, x[-1], c[-1]))
        if collectives.world_size() > 1:  # looking for buffers takes time
            collectives.all_reduce_mean_([buffer for buffer in self.buffers() if buffer.is_floating_point()])
        self.weight_average.lerp_(self.values.ema_decay)
        return updates

    def minimize(self, optimizer: Optimizer, compute_loss: LossFunction, x: Tensor, c: Tensor) -> ScalarTensors:
        """Make one step on the mean loss of a batch of the global size, in parts: -> its scalars, {} if left out.

        Latents are drawn for the whole batch: they belong to its samples, however many parts and processes share it.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        parts, total = self.optim.accumulate, ScalarTensors()
        optimizer.zero_grad()
        for part in zip(*(tensor.chunk(parts) for tensor in (x, c, self.sample_z(x)))):
            loss, scalars = compute_loss(*part)
            torch.autograd.backward(loss, loss.new_full((), 1 / parts), inputs=parameters)
            for name, value in scalars.items():
                total[name] = total.get(name, 0) + value.detach() / parts
        gradients = [p.grad for p in parameters if p.grad is not None]
        collectives.all_reduce_mean_(gradients)
        if not self.may_step([*gradients, *total.values()]):
            return {}
        self.optim.clip_gradients_(parameters)
        optimizer.step()
        torch.clear_autocast_cache()  # it holds the weights as they were before the step
        return total

    def d_loss(self, k: int, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, ScalarTensors]:
        """Return what D minimises in the k-th update of a turn, on real images x of the classes c and as many fakes."""
        terms = {name: self.loss.d_terms[name] for name in self.due.d[k]}
        with torch.no_grad():
            x_fake = self.generate_fakes(z, c, x.dtype)
        update = self.judge_images(("x_real", "x_fake"), x, x_fake, c, z, terms)
        assert update.real is not None
        real_logits, fake_logits = collectives.all_gather_pair(update.real.logits, update.fake.logits)
        loss = self.loss.d(real_logits, fake_logits).mean()
        scalars = {"loss/D": loss, "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean()}
        return add_terms(loss, scalars, "loss/D", terms, self.values.d_scale, update)

    def g_loss(self, x: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, ScalarTensors]:
        """Return what G minimises on latents z of the classes c; only relativistic losses use the real images x."""
        terms = {name: self.loss.g_terms[name] for name in self.due.g}
        judged = ("x_fake", "x_real") if self.loss.relativistic else ("x_fake",)
        update = self.judge_images(judged, x, self.generate_fakes(z, c, x.dtype), c, z, terms)
        if update.real is not None:
            real_logits, fake_logits = collectives.all_gather_pair(update.real.logits, update.fake.logits)
        else:
            real_logits, fake_logits = None, collectives.all_gather(update.fake.logits)
        loss = self.loss.g(fake_logits, real_logits).mean()
        return add_terms(loss, {"loss/G": loss}, "loss/G", terms, self.values.g_scale, update)

    def generate_fakes(self, z: Tensor, c: Tensor, dtype: torch.dtype) -> Tensor:
        """Return images of G, cast to the dtype of the real ones: under autocast G may return bfloat16."""
        images: Tensor = self.compiled_G(z, c).to(dtype)
        return images

    def judge_images(
        self, judged: Sequence[str], x_real: Tensor, x_fake: Tensor, c: Tensor, z: Tensor, terms: Mapping[str, Term]
    ) -> Update:
        """Return the images, D's judgements of those named in `judged`, and a graph from these to what terms need."""
        images, differentiated = {"x_real": x_real, "x_fake": x_fake}, find_differentiated_images(terms)
        images |= {name: images[name].requires_grad_() for name in differentiated}
        D = self.D if differentiated else self.compiled_D
        judgements = {name: self.judge_augmented(D, images[name], c) for name in judged}
        return Update(
            **images,
            c=c,
            z=z,
            real=judgements.get("x_real"),
            fake=judgements["x_fake"],
            critic=lambda x: self.judge_augmented(self.D, x, c).logits,
            D=self.D,
            G=self.G,
        )

    def judge_augmented(self, D: Callable[..., Tensor | Judgement], x: Tensor, c: Tensor) -> Judgement:
        """Return D's judgement of images x of the classes c, behind the augmentation."""
        return judge(D(self.augment(x), c), x)

    def sample_z(self, x: Tensor) -> Tensor:
        """Draw latents for as many samples as x has images: -> [N, z_dim]."""
        return rng.randn(len(x), count_latent_numbers(self.G), device=x.device)

    def may_step(self, numbers: list[Tensor]) -> bool:
        """Return False, and count the skipped update, if its numbers must be finite and are not.

        All processes see the same numbers.
        """
        fine = not self.skip_nonfinite or bool(all_finite(numbers))
        self.run_state.num_skipped += not fine
        return fine

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Clamp every weight of D to [-c, c] (WGAN, Arjovsky et al. 2017, Algorithm 1, line 7)."""
        if self.loss.weight_clip is not None:
            torch._foreach_clamp_min_(list(self.D.parameters()), -self.loss.weight_clip)
            torch._foreach_clamp_max_(list(self.D.parameters()), self.loss.weight_clip)

    def compute_turn_values(self) -> TurnValues:
        """Return the numbers of the coming turn: learning rates, the decay of the EMA, the scales of the terms."""
        factor = self.optim.schedule(self.progress)
        return TurnValues(
            lr=tuple(group["initial_lr"] * factor for group in iter_param_groups(self.trainer.optimizers)),
            ema_decay=self.ema.compute_decay(self.kimg, self.kimg_per_turn),
            d_scale={name: term.compute_scale(self.progress) for name, term in self.loss.d_terms.items()},
            g_scale={name: term.compute_scale(self.progress) for name, term in self.loss.g_terms.items()},
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
