"""Truncation: better samples and less variety, by z or, in nets that map z to styles w, by w."""

import torch
from torch import Tensor

from gantry.nets.contract import Generator


def truncate_generator(G: Generator, bound: float | None) -> Generator:
    """Return G as it samples with this truncation, None for none; G itself is left unchanged.

    A generator with a method `truncate(psi) -> G` truncates by itself; it is `truncate_latents` for the others.
    """
    truncated: Generator = G.truncate(bound) if bound is not None and hasattr(G, "truncate") else G
    return truncated


def truncate_latents(z: Tensor, G: Generator, bound: float | None) -> Tensor:
    """Return z [N, z_dim + noise_dim] as G is to get it with this truncation: only the first z_dim numbers change."""
    if bound is None or hasattr(G, "truncate"):
        return z
    return torch.cat([truncate_normal(z[:, : G.z_dim], bound), z[:, G.z_dim :]], 1)


def truncate_normal(z: Tensor, bound: float) -> Tensor:
    """Map standard normal z to draws of the normal distribution truncated at +-bound (Brock et al. 2019, 3.1).

    BigGAN draws entries beyond the bound again. Mapping each z through both distribution functions gives the
    same distribution, and keeps a sample a function of its own z.
    """
    edge = torch.special.ndtr(torch.tensor(bound, dtype=torch.float64))
    share = (1 - edge) + torch.special.ndtr(z.double()) * (2 * edge - 1)
    return torch.special.ndtri(share).clamp(-bound, bound).to(z.dtype)
