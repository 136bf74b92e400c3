"""The objective of D and G: adversarial losses, weighted penalty terms, updates per turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.losses.logits import average_axes
from gantry.losses.term import Term, find_requirements
from gantry.losses.update import Update
from gantry.schedules import Schedule

DLoss = Callable[[Tensor, Tensor], Tensor]
GLoss = Callable[[Tensor, Tensor | None], Tensor]


FakeClasses = Literal["real", "drawn"]


class DueTerms(NamedTuple):
    """Names of the terms that a turn includes: for each of its updates of D, and for its update of G."""

    d: tuple[tuple[str, ...], ...]
    g: tuple[str, ...]


@dataclass(frozen=True)
class Objective:
    """D minimises `d` plus `d_terms`, G minimises `g` plus `g_terms`, with n_critic updates of D for one of G.

    A relativistic G compares its fakes with real images, so its update needs a batch of those too.
    `weight_clip` is the c of WGAN: after each update every weight of D is clipped to [-c, c].
    `g_batch` is the number of fakes in G's update for each real image of D's batch (Gulrajani et al. 2017 and Miyato et
    al. 2018 have 2). The classes of fakes are those of the real batch, or drawn anew with the shares of the data.
    `top_k` is the fraction of the fakes that G learns from, those with the largest logits (Sinha et al. 2020).
    """

    d: DLoss
    g: GLoss
    d_terms: Mapping[str, Term] = field(default_factory=dict)
    g_terms: Mapping[str, Term] = field(default_factory=dict)
    n_critic: int = 1
    relativistic: bool = False
    weight_clip: float | None = None
    g_batch: int = 1
    fake_classes: FakeClasses = "real"
    top_k: float | Schedule = 1.0

    def __post_init__(self) -> None:
        for key in ("n_critic", "g_batch"):
            if getattr(self, key) < 1:
                raise ValueError(f"loss.{key} must be at least 1, got {getattr(self, key)}")
        if self.weight_clip is not None and self.weight_clip <= 0:
            raise ValueError(f"loss.weight_clip must be above 0 or null, got {self.weight_clip}")
        if self.fake_classes not in get_args(FakeClasses):
            raise ValueError(f"loss.fake_classes must be real or drawn, got {self.fake_classes}")
        if not callable(self.top_k) and not 0 < self.top_k <= 1:
            raise ValueError(f"loss.top_k must be in (0, 1] or a schedule, got {self.top_k}")
        if self.relativistic and self.g_batch > 1:
            raise ValueError(f"loss.g_batch must be 1 for a relativistic loss, which pairs images, got {self.g_batch}")
        for key, terms in (("loss.d_terms", self.d_terms), ("loss.g_terms", self.g_terms)):
            for name, term in terms.items():
                _check_term(f"{key}.{name}", term)
                self._check_requirements(f"{key}.{name}", term)
        _check_losses(self.d, self.g, self.relativistic)

    def _check_requirements(self, key: str, term: Term) -> None:
        """Raise ValueError for a term whose penalty cannot be part of this objective."""
        needs, net = term.requirements, "D" if key.startswith("loss.d_terms") else "G"
        if needs.net not in (None, net):
            other = key.replace("d_terms", "g_terms") if net == "D" else key.replace("g_terms", "d_terms")
            raise ValueError(f"{key} must be a term of {net}, got one of {needs.net} (+{other})")
        if needs.compares_fakes and (self.g_batch % 2 or self.fake_classes != "real"):
            rule = f"even, and loss.fake_classes real, with {key}, which compares two fakes of one class"
            raise ValueError(f"loss.g_batch must be {rule}, got {self.g_batch}")
        if needs.pairs_classes and self.fake_classes != "real":
            rule = f"real with {key}, which pairs real and fake images of one class"
            raise ValueError(f"loss.fake_classes must be {rule}, got {self.fake_classes}")

    @property
    def learns_from_top(self) -> bool:
        """Return True if G learns from some of its fakes only."""
        return callable(self.top_k) or self.top_k < 1

    def check_parts(self, parts: int) -> None:
        """Raise ValueError for a batch in parts where something couples its samples."""
        if parts > 1 and (keys := self.list_coupling_keys()):
            raise ValueError(f"optim.accumulate must be 1 with {keys[0]}, which couples the batch, got {parts}")

    def list_coupling_keys(self) -> list[str]:
        """Return the keys of what couples the samples of a batch, which therefore cannot be computed in parts."""
        keys = ["loss.top_k"] if self.learns_from_top else []
        functions: dict[str, Callable[..., Tensor]] = {"loss.d": self.d, "loss.g": self.g}
        functions |= {f"loss.d_terms.{name}": term.penalty for name, term in self.d_terms.items()}
        functions |= {f"loss.g_terms.{name}": term.penalty for name, term in self.g_terms.items()}
        return keys + [key for key, function in functions.items() if find_requirements(function).couples_samples]

    def list_modules(self) -> dict[str, nn.Module]:
        """Return the penalties with state by the name of their key: {"d_lecam": ...}."""
        groups = (("d", self.d_terms), ("g", self.g_terms))
        terms = ((f"{net}_{name}", term.penalty) for net, group in groups for name, term in group.items())
        return {name: penalty for name, penalty in terms if isinstance(penalty, nn.Module)}

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
    return {name for term in terms.values() for name in term.requirements.differentiates}


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
    return loss, scalars | update.scalars


def average_top(losses: Tensor, logits: Tensor, fraction: float | Tensor | None) -> Tensor:
    """Return the mean loss of the fraction of samples with the largest mean logits, at least one: [N, ...] twice -> [].

    Their number is floor(fraction N), of the whole global batch (Sinha et al. 2020, section 3); None takes all.
    """
    if fraction is None:
        return losses.mean()
    ranks = average_axes(logits.detach()).argsort(descending=True, stable=True).argsort()
    k = torch.as_tensor(fraction * len(ranks) + 1e-4, device=ranks.device).floor().clamp(min=1)
    return (average_axes(losses) * (ranks < k)).sum() / k


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
