"""The loop that Gantry is measured against: what a researcher writes by hand for one experiment, and no more."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GANTRY, PLAIN, TUNED = "Gantry", "plain", "tuned"  # who is raced
LOOP_LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "nonsaturating": (
        lambda real, fake: (F.softplus(-real) + F.softplus(fake)).mean(),
        lambda f: F.softplus(-f).mean(),
    ),
    "hinge": (lambda real, fake: (F.relu(1 - real) + F.relu(1 + fake)).mean(), lambda fake: -fake.mean()),
}


@dataclass(frozen=True)
class LoopRecipe:
    """What the loop shares with Gantry: the loss by name, updates of D in a turn, batch size, and Adam's settings."""

    loss: str
    n_critic: int
    batch_size: int
    adam: dict[str, Any]


class PlainLoop:
    """G, D and all images in memory, x uint8 [N, C, H, W] or points float [N, 2]; `turn()` trains for one turn.

    No logging, no checks, no class of a framework; losses stay where they are. `tuned`: the optimiser and the average
    of G are the fused ones. Otherwise they are what torch gives without being asked.
    """

    def __init__(self, G: nn.Module, D: nn.Module, x: Tensor, c: Tensor, recipe: LoopRecipe, tuned: bool) -> None:
        self.G, self.D, self.x, self.c, self.recipe, self.tuned = G, D, x, c, recipe, tuned
        self.G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        fused = {"fused": True} if tuned else {}
        self.opt_g = torch.optim.Adam(G.parameters(), **recipe.adam, **fused)
        self.opt_d = torch.optim.Adam(D.parameters(), **recipe.adam, **fused)
        self.d_loss, self.g_loss = LOOP_LOSSES[recipe.loss]
        self.permutation, self.position = torch.randperm(len(x), device=x.device), 0

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Images float in [-1, 1] and their classes; the order is drawn anew when too few are left."""
        n = self.recipe.batch_size
        if self.position + n > len(self.permutation):
            self.permutation, self.position = torch.randperm(len(self.x), device=self.x.device), 0
        index = self.permutation[self.position : self.position + n]
        self.position += n
        x = self.x[index]
        return x if x.is_floating_point() else x.float() / 127.5 - 1, self.c[index]

    def draw_z(self) -> Tensor:
        return torch.randn(self.recipe.batch_size, self.G.z_dim, device=self.x.device)  # type: ignore[call-overload]

    def run_turns(self, n: int) -> None:
        for _ in range(n):
            self.run_turn()

    def run_turn(self) -> None:
        for _ in range(self.recipe.n_critic):
            x, c = self.next_batch()
            with torch.no_grad():
                x_fake = self.G(self.draw_z(), c)
            loss = self.d_loss(self.D(x, c).logits, self.D(x_fake, c).logits)
            self.opt_d.zero_grad(set_to_none=True)
            loss.backward()
            self.opt_d.step()
        self.D.requires_grad_(False)
        loss = self.g_loss(self.D(self.G(self.draw_z(), c), c).logits)
        self.opt_g.zero_grad(set_to_none=True)
        loss.backward()
        self.opt_g.step()
        self.D.requires_grad_(True)
        self.update_ema()

    @torch.no_grad()
    def update_ema(self, weight: float = 1e-3) -> None:
        """G_ema <- G_ema + weight (G - G_ema), its buffers are G's."""
        old, new = list(self.G_ema.parameters()), list(self.G.parameters())
        if self.tuned:
            torch._foreach_lerp_(old, new, weight)
        else:
            for p, q in zip(old, new):
                p.lerp_(q, weight)
        for p, q in zip(self.G_ema.buffers(), self.G.buffers()):
            p.copy_(q)
