"""Heads of the critics: features h [N, F] and the class -> a judgement, whose features are h.

`HeadKind` names them. The logit of `linear` does not depend on the class, those of `projection`, `product`, `concat`,
`outer` and `outer_random` do; the last is for outer products that are too large for a layer. `classifier` is `linear`,
`projection_classifier` is `projection`, each with an auxiliary classifier beside it (ACGAN, Odena et al. 2017).
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from gantry.nets.contract import Judgement
from gantry.nets.layers import LEAKY_SLOPE, embed, one_hot

HeadKind = Literal[
    "linear", "projection", "product", "concat", "outer", "outer_random", "classifier", "projection_classifier"
]
RANDOM_DIM = 1024  # of the randomised outer product (Long et al. 2018, CDAN)


class ProjectionHead(nn.Module):
    """The logit linear(h), plus <embedding(c), h> with classes (Miyato & Koyama 2018, eq. 3)."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(num_classes, features) if num_classes else None

    def forward(self, h: Tensor, c: Tensor | None) -> Judgement:
        logits = self.linear(h).squeeze(1)
        if self.embedding is None:
            return Judgement(logits, h)
        assert c is not None, "a conditional critic needs classes"
        return Judgement(logits + (embed(c, self.embedding.weight) * h).sum(1), h)


class ClassifierHead(ProjectionHead):
    """The logit linear(h), projected or not, and class logits that are linear in h (Odena et al. 2017)."""

    def __init__(self, features: int, num_classes: int, project: bool) -> None:
        super().__init__(features, num_classes if project else 0)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, h: Tensor, c: Tensor | None) -> Judgement:
        return super().forward(h, c)._replace(class_logits=self.classifier(h))


class JoinHead(nn.Module):
    """The logit of what `join(h, c)` makes of features and class, by two dense layers: the first has F outputs."""

    def __init__(self, features: int, join: "ClassConcat | OuterProduct | RandomOuterProduct") -> None:
        super().__init__()
        self.join = join
        self.layers = nn.Sequential(nn.Linear(join.dim, features), nn.LeakyReLU(LEAKY_SLOPE), nn.Linear(features, 1))

    def forward(self, h: Tensor, c: Tensor | None) -> Judgement:
        assert c is not None, "a conditional critic needs classes"
        return Judgement(self.layers(self.join(h, c)).squeeze(1), h)


class ProductHead(nn.Module):
    """The logit linear(h * embedding(c)), elementwise."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(num_classes, features)

    def forward(self, h: Tensor, c: Tensor | None) -> Judgement:
        assert c is not None, "a conditional critic needs classes"
        return Judgement(self.linear(h * embed(c, self.embedding.weight)).squeeze(1), h)


class ClassConcat(nn.Module):
    """h [N, F], c -> (h, p) [N, F + K], p the class as a vector (Mirza & Osindero 2014)."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes, self.dim = num_classes, features + num_classes

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return torch.cat([h, one_hot(c, self.num_classes, h.dtype)], 1)


class OuterProduct(nn.Module):
    """h [N, F], c -> p h^T [N, K F], p the class as a vector: the multilinear map of Long et al. 2018, eq. 5."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes, self.dim = num_classes, features * num_classes

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        p = one_hot(c, self.num_classes, h.dtype)
        return (p[:, :, None] * h[:, None, :]).flatten(1)


class RandomOuterProduct(nn.Module):
    """h [N, F], c -> (R h) * (S p) / sqrt(d) [N, d], R and S fixed and standard normal (Long et al. 2018, eq. 6).

    Its inner products are in the mean those of the outer product.
    """

    of_features: Tensor
    of_classes: Tensor

    def __init__(self, features: int, num_classes: int, dim: int = RANDOM_DIM) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("of_features", torch.randn(features, dim))
        self.register_buffer("of_classes", torch.randn(num_classes, dim))

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return (h @ self.of_features) * embed(c, self.of_classes) / math.sqrt(self.dim)


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": lambda features, _: ProjectionHead(features, 0),
    "projection": ProjectionHead,
    "product": ProductHead,
    "concat": lambda features, k: JoinHead(features, ClassConcat(features, k)),
    "outer": lambda features, k: JoinHead(features, OuterProduct(features, k)),
    "outer_random": lambda features, k: JoinHead(features, RandomOuterProduct(features, k)),
    "classifier": lambda features, k: ClassifierHead(features, k, project=False),
    "projection_classifier": lambda features, k: ClassifierHead(features, k, project=True),
}


def make_head(kind: HeadKind, features: int, num_classes: int) -> nn.Module:
    """Return a head: h [N, features], c -> Judgement. Raises ValueError for a head of classes where there are none."""
    if num_classes == 0 and kind not in ("linear", "projection"):
        raise ValueError(f"model.D.head must be projection or linear without classes, got {kind}")
    return HEADS[kind](features, num_classes)
