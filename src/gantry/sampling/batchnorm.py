"""Set up the BatchNorm of a trained generator for an evaluation."""

import copy
from typing import Any

import torch
from torch import nn

from gantry.nets.contract import Generator, Net, count_latent_numbers
from gantry.rng import derive_seed
from gantry.sampling.batchnorm_mode import NO_BATCHNORM, NUM_STATISTICS_BATCHES, STATISTICS_BATCH_SIZE, BatchNormMode
from gantry.sampling.latents import balanced_labels, sample_latents

STATISTICS_SEED_KEY = 1  # keeps the latents of these batches apart from those of the samples


def prepare_generator(G: Generator, mode: BatchNormMode, seed: int) -> Generator:
    """Return G, or a copy of it in evaluation mode, that normalises in this mode; G itself is left unchanged.

    In the mode "batch" callers generate `mode.block_size` samples at a time, see `make_image_source`.
    """
    if mode is BatchNormMode.RUNNING or not find_batchnorms(G):
        return G
    ready: Any = copy.deepcopy(G)
    if mode is BatchNormMode.STANDING:
        _estimate_standing_statistics_(ready, seed)
    else:
        for norm in find_batchnorms(ready):
            norm.running_mean = norm.running_var = None
    return ready.eval()


def describe_batchnorm(G: Generator, mode: BatchNormMode) -> str:
    """Return the description for the protocol."""
    return mode.describe() if find_batchnorms(G) else NO_BATCHNORM


def find_batchnorms(G: Net) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return every BatchNorm of a net."""
    return [module for module in G.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def _estimate_standing_statistics_(G: Generator, seed: int) -> None:
    """Replace the running statistics by averages over fresh batches, which are the same on every process."""
    weight = next(G.parameters())
    G.eval()
    for norm in find_batchnorms(G):
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # the plain mean over the batches
        norm.train()
    for start in range(0, NUM_STATISTICS_BATCHES * STATISTICS_BATCH_SIZE, STATISTICS_BATCH_SIZE):
        stop = start + STATISTICS_BATCH_SIZE
        z = sample_latents(derive_seed(seed, STATISTICS_SEED_KEY), start, stop, count_latent_numbers(G))
        G(z.to(weight), balanced_labels(start, stop, G.num_classes).to(weight.device))
