"""Samples of a generator as evaluations look at them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.feature_pass import Images
from gantry.evaluation.protocol import Samples
from gantry.nets.contract import Net
from gantry.sampling import batchnorm
from gantry.sampling.generate import samples
from gantry.sampling.latents import labels


@dataclass(frozen=True)
class Drawn:
    """images(start, stop) -> x float [n, *shape] in [-1, 1]; the classes that they are drawn for, int64 [num_samples],
    if G is told any; and what the protocol says of them."""

    images: Images
    labels: Tensor | None
    about: Samples


def drawn_for(evaluation: Evaluation, G: Net, checkpoint: str, device: torch.device) -> Drawn:
    """The samples that an evaluation asks for, of an averaged generator chosen by the rule `checkpoint`."""
    mode, seed = evaluation.batchnorm, evaluation.seed
    ready = batchnorm.prepared(G.to(device), mode, seed)
    block = batchnorm.BATCH if mode == "batch" else 1
    return Drawn(
        images_of(ready, seed, device, block),
        labels(0, evaluation.num_samples, G.num_classes) if G.num_classes else None,
        Samples(tuple(G.shape), checkpoint, "G_ema", batchnorm.said(G, mode)),
    )


def images_of(G: Net, seed: int, device: torch.device, block: int = 1) -> Images:
    """Samples of G, sample i of the latent (seed, i): (start, stop) -> x float [n, *shape] in [-1, 1].

    A `block` above 1 fixes which samples are drawn in one batch: those of every block, whatever range is asked for.
    """

    def images(start: int, stop: int) -> Tensor:
        first, last = start // block * block, -(-stop // block) * block
        size = block if block > 1 else stop - start
        return torch.cat(list(samples(G, seed, first, last, size, device)))[start - first : stop - first]

    return images
