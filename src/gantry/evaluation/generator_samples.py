"""Samples of a generator, generated when an evaluation reads them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.feature_pass import ImageSource
from gantry.evaluation.protocol import SampleFacts
from gantry.nets.contract import Generator
from gantry.sampling.batchnorm import describe_batchnorm, prepare_generator
from gantry.sampling.generate import iter_sample_batches
from gantry.sampling.latents import balanced_labels


@dataclass(frozen=True)
class SampleSource:
    """images(start, stop) -> x float [n, *shape] in [-1, 1]; the classes of the samples, int64 [num_samples], or None
    if they have none; and the facts that the protocol states about them.

    `class_names` are the names of the classes, empty where they are those of the real images in the same order;
    `unlabelled` says why there are none.
    """

    images: ImageSource
    labels: Tensor | None
    facts: SampleFacts
    class_names: tuple[str, ...] = ()
    unlabelled: str = "samples without classes"


def make_sample_source(
    evaluation: Evaluation,
    G: Generator,
    checkpoint: str,
    device: torch.device,
    turn: int | None = None,
    kimg: float | None = None,
    class_names: tuple[str, ...] = (),
) -> SampleSource:
    """Return the samples of an evaluation, from an averaged generator that was chosen by the rule `checkpoint`.

    `class_names` are those of the data that it was trained on.
    """
    mode, seed = evaluation.batchnorm_mode, evaluation.seed
    ready = prepare_generator(G.to(device), mode, seed)
    labels = balanced_labels(0, evaluation.num_samples, G.num_classes) if G.num_classes else None
    facts = describe_samples(evaluation, G, checkpoint, turn, kimg)
    names = class_names if len(class_names) == G.num_classes else ()
    return SampleSource(make_image_source(ready, seed, device, mode.block_size), labels, facts, names)


def describe_samples(
    evaluation: Evaluation, G: Generator, checkpoint: str, turn: int | None = None, kimg: float | None = None
) -> SampleFacts:
    """Return the facts about samples from an averaged generator that was chosen by the rule `checkpoint`."""
    norm = describe_batchnorm(G, evaluation.batchnorm_mode)
    return SampleFacts(tuple(G.shape), checkpoint, "G_ema", norm, turn, kimg)


def make_image_source(G: Generator, seed: int, device: torch.device, block: int = 1) -> ImageSource:
    """Return samples of G, sample i of the latent (seed, i): (start, stop) -> x float [n, *shape] in [-1, 1].

    With a `block` above 1, samples are always generated in the same batches of `block`, for any range.
    """

    def images(start: int, stop: int) -> Tensor:
        first, last = start // block * block, -(-stop // block) * block
        size = block if block > 1 else stop - start
        return torch.cat(list(iter_sample_batches(G, seed, first, last, size, device)))[start - first : stop - first]

    return images
