"""Spectral normalisation (Miyato et al. 2018, eq. 8 and Algorithm 1)."""

from collections.abc import Container
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

WARM_UP_ITERATIONS = 15  # power iterations on the initial weight, before the first use


def right_singular_vector(matrix: Tensor, u: Tensor) -> Tensor:
    """Return half a power iteration: matrix [rows, columns] and u [rows] -> v [columns] of length 1."""
    return F.normalize(matrix.T @ u, dim=0)


# torch.compile would recompute v in the backward pass, from a u that the next forward pass has changed by then. It does
# not recompute the results of an opaque custom operator.
right_singular_vector_op = torch.library.custom_op("gantry::right_vector", right_singular_vector, mutates_args=())
right_singular_vector_op.register_fake(lambda matrix, _: matrix.new_empty(matrix.shape[1]))


def disable_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context without autocast, also for devices that have none, such as `meta`."""
    return torch.autocast(device_type, enabled=False) if torch.amp.is_autocast_available(device_type) else nullcontext()


class SpectralNorm(nn.Module):
    """Parametrisation: weight -> weight / sigma, the largest singular value of the matrix [rows, rest].

    The state is one estimate `u` of the left singular vector. Each forward pass in training improves it by one power
    iteration; evaluation does not change it. `v` is computed from `u` at each use, so that `u` may have any length:
    an average of a net's states over time is again a valid state.

    torch's own parametrisation differs: it stores `v` too, assumes that both are unit vectors, and iterates in
    bfloat16 under autocast. It also needs one more matrix product: with v fixed, sigma = |W v| has the value and the
    gradient u v^T of the paper's u^T W v.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn_like(weight.detach().flatten(1)[:, 0]), dim=0))
        for _ in range(WARM_UP_ITERATIONS):
            self(weight.detach())

    def forward(self, weight: Tensor) -> Tensor:
        """Divide weight [rows, ...] by its largest singular value, as estimated with `u`."""
        with disable_autocast(weight.device.type):
            matrix = weight.flatten(1)
            compute_v = right_singular_vector_op if torch.compiler.is_compiling() else right_singular_vector
            v = compute_v(matrix.detach(), self.u)
            wv = matrix @ v
            if self.training:
                self.u.copy_(F.normalize(wv.detach(), dim=0))
            return weight / wv.norm()


def spectral_norm_(net: nn.Module, skip: Container[nn.Module | None] = ()) -> None:
    """Normalise every convolution, linear layer and embedding of a net, but for those to skip, in place.

    Call it after the weights are initialised: afterwards they can only be set through `original`.
    """
    for layer in list(net.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding) and layer not in skip:
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
