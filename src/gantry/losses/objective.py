"""The objective of D and G: adversarial losses, weighted penalty terms, updates per turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.losses.update import Update

DLoss = Callable[[Tensor, Tensor], Tensor]
GLoss = Callable[[Tensor, Tensor | None], Tensor]
Penalty = Callable[[Update], Tensor]


@dataclass(frozen=True)
class Term:
    """A penalty with its weight, applied at every update or lazily at each `every`-th (Karras et al. 2020, app. B).

    The weight is a number or a function of the progress, turns done over turns planned, in [0, 1].
    """

    penalty: Penalty
    weight: float | Callable[[float], float] = 1.0
    every: int = 1

    def is_due(self, update: int) -> bool:
        """Return True if update number `update` of the net, counted from 0, includes this term."""
        return update % self.every == 0

    @property
    def differentiates(self) -> tuple[str, ...]:
        """Return the images by which the penalty differentiates D's judgements, see `gantry.losses.update`."""
        function = self.penalty.func if isinstance(self.penalty, partial) else self.penalty
        return getattr(function, "differentiates", ())

    def compute_scale(self, progress: float) -> float:
        """Return the factor of the penalty when it is due: the weight times `every`, to replace the skipped updates."""
        weight = self.weight(progress) if callable(self.weight) else self.weight
        return weight * self.every


class DueTerms(NamedTuple):
    """Names of the terms that a turn includes: for each of its updates of D, and for its update of G."""

    d: tuple[tuple[str, ...], ...]
    g: tuple[str, ...]


@dataclass(frozen=True)
class Objective:
    """D minimises `d` plus `d_terms`, G minimises `g` plus `g_terms`, with n_critic updates of D for one of G.

    A relativistic G compares its fakes with real images, so its update needs a batch of those too.
    `weight_clip` is the c of WGAN: after each update every weight of D is clipped to [-c, c].
    """

    d: DLoss
    g: GLoss
    d_terms: Mapping[str, Term] = field(default_factory=dict)
    g_terms: Mapping[str, Term] = field(default_factory=dict)
    n_critic: int = 1
    relativistic: bool = False
    weight_clip: float | None = None

    def __post_init__(self) -> None:
        if self.n_critic < 1:
            raise ValueError(f"loss.n_critic must be at least 1, got {self.n_critic}")
        if self.weight_clip is not None and self.weight_clip <= 0:
            raise ValueError(f"loss.weight_clip must be above 0 or null, got {self.weight_clip}")
        for key, terms in (("loss.d_terms", self.d_terms), ("loss.g_terms", self.g_terms)):
            for name, term in terms.items():
                _check_term(f"{key}.{name}", term)
        _check_losses(self.d, self.g, self.relativistic)

    @property
    def batches_per_turn(self) -> int:
        """Return the number of batches of real images in one turn."""
        return self.n_critic + (1 if self.relativistic else 0)

    def due_terms(self, turn: int) -> DueTerms:
        """Return the terms that a turn includes; turns with equal terms are of one kind."""
        updates = range(turn * self.n_critic, (turn + 1) * self.n_critic)
        d = tuple(tuple(name for name, term in self.d_terms.items() if term.is_due(update)) for update in updates)
        return DueTerms(d, tuple(name for name, term in self.g_terms.items() if term.is_due(turn)))


def find_differentiated_images(terms: Mapping[str, Term]) -> set[str]:
    """Return the images by which one of the terms differentiates D's judgements: "x_real", "x_fake"."""
    return {name for term in terms.values() for name in term.differentiates}


def add_terms(
    loss: Tensor,
    scalars: dict[str, Tensor],
    prefix: str,
    terms: Mapping[str, Term],
    scales: Mapping[str, float | Tensor],
    update: Update,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss plus the scaled means of its terms over the global batch, and the scalars with these means."""
    for name, term in terms.items():
        scalars[f"{prefix}/{name}"] = collectives.all_gather(term.penalty(update)).mean()
        loss = loss + scales[name] * scalars[f"{prefix}/{name}"]
    return loss, scalars


def _check_term(key: str, term: Term) -> None:
    if not isinstance(term, Term):
        raise ValueError(f"{key} must be a Term (penalty, weight, every), got {term!r}")
    if term.every < 1:
        raise ValueError(f"{key}.every must be at least 1, got {term.every}")
    if not callable(term.weight) and term.weight < 0:
        raise ValueError(f"{key}.weight must be at least 0, got {term.weight}")


def _check_losses(d: DLoss, g: GLoss, relativistic: bool) -> None:
    """Call both losses on three logits, so that a wrong configuration fails here and not in the first turn."""
    logits = torch.zeros(3)
    calls = {"loss.d": partial(d, logits, logits), "loss.g": partial(g, logits, logits if relativistic else None)}
    for key, call in calls.items():
        try:
            result = call()
        except UserError:
            raise
        except ValueError as error:  # a bug of the loss, not a refusal of the configuration
            raise RuntimeError(f"{key} failed on three logits that are 0") from error
        if result.shape != logits.shape:
            raise ValueError(f"{key} must return one number for each logit, got {list(result.shape)} for [3]")
