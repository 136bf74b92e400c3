"""Spectral normalisation (Miyato et al. 2018, eq. 8 and Algorithm 1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

WARM_UP_ITERATIONS = 15  # power iterations before the first use, with the random first weight


def right_singular_vector(matrix: Tensor, u: Tensor) -> Tensor:
    """Half a power iteration: matrix [rows, columns] and u [rows] -> v [columns] of length 1."""
    return F.normalize(matrix.T @ u, dim=0)


# torch.compile would make v again in the backward pass, from the u that the next use has changed by then. It keeps the
# results of what it cannot look into.
right_singular_vector_op = torch.library.custom_op("gantry::right_vector", right_singular_vector, mutates_args=())
right_singular_vector_op.register_fake(lambda matrix, _: matrix.new_empty(matrix.shape[1]))


class SpectralNorm(nn.Module):
    """Parametrisation: weight -> weight / sigma, the largest singular value of the matrix [rows, rest].

    The state is one estimate `u` of the left singular vector. Each use in training improves it by one power
    iteration, evaluation leaves it alone. `v` is made from it on the spot, so that `u` may have any length:
    an average of a net's states over time is again a state.

    Where torch's own differs: it stores `v` too, takes both for unit vectors, and iterates in bfloat16 under
    autocast. And it needs one matrix product more: with v fixed, sigma = |W v| has the value and the gradient
    u v^T of the paper's u^T W v.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn_like(weight.detach().flatten(1)[:, 0]), dim=0))
        for _ in range(WARM_UP_ITERATIONS):
            self(weight.detach())

    def forward(self, weight: Tensor) -> Tensor:
        """weight [rows, ...] -> the same shape, spectral norm 1 as far as `u` is right."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            make_v = right_singular_vector_op if torch.compiler.is_compiling() else right_singular_vector
            v = make_v(matrix.detach(), self.u)
            wv = matrix @ v
            if self.training:
                self.u.copy_(F.normalize(wv.detach(), dim=0))
            return weight / wv.norm()


def spectral_norm_(net: nn.Module) -> None:
    """Normalise every convolution, linear layer and embedding of a net, in place.

    To be called when the weights are initialised: from then on they can be set through `original` alone.
    """
    for layer in list(net.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
