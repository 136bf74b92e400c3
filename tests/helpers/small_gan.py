"""A GAN for points of the plane that trains without a trainer, on any number of ranks."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gantry.distributed import collectives
from gantry.losses.objective import Objective
from gantry.nets import mlp
from gantry.schedules import linear
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim

N, K, Z, TURNS, SEED, LR = 8, 3, 4, 6, 5, 0.5


def make_nets(norm: str = "none") -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    G = mlp.Generator((2,), Z, K, hidden=[16], norm=norm, activation="relu")
    return G, mlp.Discriminator((2,), K, hidden=[16], norm="none")


def make_batches(turn: int) -> tuple[Tensor, Tensor]:
    """Two batches for D and one more for the relativistic G."""
    stream = torch.Generator().manual_seed(turn)
    return torch.randn(3, N, 2, generator=stream), torch.randint(K, (3, N), generator=stream)


def make_gan(loss: Objective, nets: tuple[nn.Module, nn.Module], augment: Any = None, **options: Any) -> GAN:
    """A GAN that trains without a trainer."""
    sgd = partial(torch.optim.SGD, lr=LR)
    optim = Optim(sgd, sgd, **({"schedule": linear} | options))
    gan = GAN(*nets, loss, optim, Ema(0.05, ramp=0.5), turns=TURNS, batch_size=N, seed=SEED, augment=augment)
    gan.trainer = SimpleNamespace(optimizers=gan.configure_optimizers())  # type: ignore[assignment]
    gan.advance_global_step = lambda: None  # type: ignore[method-assign]
    return gan


def train(gan: GAN, turns: int = TURNS) -> list[dict[str, float]]:
    """Train on the part of this rank: -> the losses of each turn."""
    ranks, rows = collectives.world_size(), []
    for turn in range(turns):
        x, c = (batches.chunk(ranks, 1)[collectives.rank()] for batches in make_batches(turn))
        losses = gan.training_step((x, c), turn)["losses"]
        rows.append({name: float(value) for name, value in losses.items()})
    return rows
