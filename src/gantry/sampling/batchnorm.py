"""How the BatchNorm of a trained generator normalises when samples are drawn from it for an evaluation."""

import copy
from typing import Any

import torch
from torch import nn

from gantry.nets.contract import Net
from gantry.rng import derive_seed
from gantry.sampling.latents import balanced_labels, sample_latents

STATISTICS_BATCH_SIZE, NUM_STATISTICS_BATCHES = (
    64,
    64,
)  # samples of a batch; batches that standing statistics are estimated from
STATISTICS_SEED_KEY = 1  # tells the latents of these batches from those of the samples


def prepare_generator(G: Net, mode: str, seed: int) -> Net:
    """G as it draws samples in evaluation mode; G itself is left as it was.

    "running": by the averages over the training, which G holds. "standing": by averages over fresh batches, after the
    training (BigGAN, Brock et al. 2019). "batch": by the batch that a sample is drawn in, see `images_of`.
    """
    if mode == "running" or not find_batchnorms(G):
        return G
    other: Any = copy.deepcopy(G)
    if mode == "standing":
        _estimate_standing_statistics_(other, seed)
    for norm in find_batchnorms(other):
        if mode == "batch":
            norm.running_mean = norm.running_var = None
    return other.eval()


def describe_batchnorm(G: Net, mode: str) -> str:
    """The mode in words, for the protocol."""
    if not find_batchnorms(G):
        return "none in G"
    fresh = f"statistics of {NUM_STATISTICS_BATCHES} fresh batches of {STATISTICS_BATCH_SIZE}"
    return {
        "running": "running statistics",
        "standing": fresh,
        "batch": f"statistics of batches of {STATISTICS_BATCH_SIZE}",
    }[mode]


def find_batchnorms(G: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Every BatchNorm of a net."""
    return [module for module in G.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def _estimate_standing_statistics_(G: Net, seed: int) -> None:
    """Every process draws the same batches, and so has the same statistics."""
    weight = next(G.parameters())
    G.eval()
    for norm in find_batchnorms(G):
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # the plain mean over the batches
        norm.train()
    for start in range(0, NUM_STATISTICS_BATCHES * STATISTICS_BATCH_SIZE, STATISTICS_BATCH_SIZE):
        z = sample_latents(derive_seed(seed, STATISTICS_SEED_KEY), start, start + STATISTICS_BATCH_SIZE, G.z_dim)
        G(z.to(weight), balanced_labels(start, start + STATISTICS_BATCH_SIZE, G.num_classes).to(weight.device))
