"""The contract of the nets: the signatures and attributes of a generator and a discriminator."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor, nn


class Net(Protocol):
    """The part of a torch.nn.Module that training and evaluation use."""

    training: bool

    def __call__(self, *inputs: Any) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def state_dict(self, *, keep_vars: bool = ...) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...

    def train(self, mode: bool = ...) -> Self: ...

    def eval(self) -> Self: ...

    def requires_grad_(self, requires_grad: bool = ...) -> Self: ...

    def to(self, *args: Any, **kwargs: Any) -> Self: ...


class Generator(Net, Protocol):
    """G(z [N, z_dim], c int64 [N] or None) -> x [N, *shape] in [-1, 1]: a torch.nn.Module with these attributes.

    `num_classes` is 0 for a G that ignores c. z is standard normal, in the dtype of G's weights. A G that needs further
    random numbers, such as noise for each layer, draws none: it has the attribute `noise_dim`, their number, and reads
    them from z [N, z_dim + noise_dim].
    """

    shape: tuple[int, ...]
    z_dim: int
    num_classes: int


class Discriminator(Net, Protocol):
    """D(x [N, *shape], c int64 [N]) -> logits [N, ...] or a `Judgement`: a torch.nn.Module. One without classes
    ignores c."""


class Judgement(NamedTuple):
    """D's output: `logits` [N, ...], whose further axes are patches or several critics; if D has them, the `features`
    [N, F] before its head and `class_logits` [N, K]."""

    logits: Tensor
    features: Tensor | None = None
    class_logits: Tensor | None = None


def count_latent_numbers(G: Generator) -> int:
    """Return the number of random numbers that G needs for a sample: z_dim, and noise_dim where G has it."""
    return G.z_dim + getattr(G, "noise_dim", 0)


def check_generator(G: object) -> None:
    """Raise ValueError for a generator without the attributes of the contract."""
    wanted = {
        "shape": "(C, H, W) or (2,), of one sample",
        "z_dim": "the length of z",
        "num_classes": "0 without classes",
    }
    for name, meaning in wanted.items():
        if not hasattr(G, name):
            kind = f"{type(G).__module__}.{type(G).__qualname__}"
            raise ValueError(f"model.G must have the attribute {name} ({meaning}), got a {kind} without it")


def judge(output: Tensor | Judgement, x: Tensor) -> Judgement:
    """Return the output of D as a judgement in float32; raise ValueError unless it has logits for each image of x."""
    judgement = Judgement(output) if isinstance(output, Tensor) else output
    if judgement.logits.shape[:1] != x.shape[:1]:
        got = list(judgement.logits.shape)
        raise ValueError(f"model.D must return logits for each image, [{len(x)}] or [{len(x)}, ...], got {got}")
    parts = {name: part.float() for name, part in judgement._asdict().items() if part is not None}
    return Judgement(**parts)
