"""Samples of a generator as evaluations look at them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.feature_pass import ImageSource
from gantry.evaluation.protocol import SampleFacts
from gantry.nets.contract import Net
from gantry.sampling import batchnorm
from gantry.sampling.generate import iter_sample_batches
from gantry.sampling.latents import balanced_labels


@dataclass(frozen=True)
class SampleSource:
    """images(start, stop) -> x float [n, *shape] in [-1, 1]; the classes that they are drawn for, int64 [num_samples],
    if G is told any; and what the protocol says of them."""

    images: ImageSource
    labels: Tensor | None
    facts: SampleFacts


def make_sample_source(evaluation: Evaluation, G: Net, checkpoint: str, device: torch.device) -> SampleSource:
    """The samples that an evaluation asks for, of an averaged generator chosen by the rule `checkpoint`."""
    mode, seed = evaluation.batchnorm, evaluation.seed
    ready = batchnorm.prepare_generator(G.to(device), mode, seed)
    block = batchnorm.STATISTICS_BATCH_SIZE if mode == "batch" else 1
    return SampleSource(
        make_image_source(ready, seed, device, block),
        balanced_labels(0, evaluation.num_samples, G.num_classes) if G.num_classes else None,
        SampleFacts(tuple(G.shape), checkpoint, "G_ema", batchnorm.describe_batchnorm(G, mode)),
    )


def make_image_source(G: Net, seed: int, device: torch.device, block: int = 1) -> ImageSource:
    """Samples of G, sample i of the latent (seed, i): (start, stop) -> x float [n, *shape] in [-1, 1].

    A `block` above 1 fixes which samples are drawn in one batch: those of every block, whatever range is asked for.
    """

    def images(start: int, stop: int) -> Tensor:
        first, last = start // block * block, -(-stop // block) * block
        size = block if block > 1 else stop - start
        return torch.cat(list(iter_sample_batches(G, seed, first, last, size, device)))[start - first : stop - first]

    return images
