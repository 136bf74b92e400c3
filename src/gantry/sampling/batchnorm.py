"""How the BatchNorm of a trained generator normalises when samples are drawn from it for an evaluation."""

import copy
from typing import Any

import torch
from torch import nn

from gantry.nets.contract import Net
from gantry.rng import mix
from gantry.sampling.latents import labels, latents

BATCH, BATCHES = 64, 64  # samples of a batch; batches that standing statistics are estimated from
APART = 1  # tells the latents of these batches from those of the samples


def prepared(G: Net, mode: str, seed: int) -> Net:
    """G as it draws samples in evaluation mode; G itself is left as it was.

    "running": by the averages over the training, which G holds. "standing": by averages over fresh batches, after the
    training (BigGAN, Brock et al. 2019). "batch": by the batch that a sample is drawn in, see `images_of`.
    """
    if mode == "running" or not norms(G):
        return G
    other: Any = copy.deepcopy(G)
    if mode == "standing":
        _stand(other, seed)
    for norm in norms(other):
        if mode == "batch":
            norm.running_mean = norm.running_var = None
    return other.eval()


def said(G: Net, mode: str) -> str:
    """The mode in words, for the protocol."""
    if not norms(G):
        return "none in G"
    fresh = f"statistics of {BATCHES} fresh batches of {BATCH}"
    return {"running": "running statistics", "standing": fresh, "batch": f"statistics of batches of {BATCH}"}[mode]


def norms(G: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Every BatchNorm of a net."""
    return [module for module in G.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def _stand(G: Net, seed: int) -> None:
    """Every process draws the same batches, and so has the same statistics."""
    weight = next(G.parameters())
    G.eval()
    for norm in norms(G):
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # the plain mean over the batches
        norm.train()
    for start in range(0, BATCHES * BATCH, BATCH):
        z = latents(mix(seed, APART), start, start + BATCH, G.z_dim)
        G(z.to(weight), labels(start, start + BATCH, G.num_classes).to(weight.device))
