"""Show samples beside their nearest training images, so that copies can be seen, not only counted."""

from pathlib import Path

import torch
from torch import Tensor

from gantry.evaluation.generator_samples import SampleSource
from gantry.evaluation.reference import Reference
from gantry.figures.image_grid import add_row_labels, make_image_grid, write_png
from gantry.metrics.memorisation import get_training_features
from gantry.metrics.nearest_neighbours import find_nearest_neighbours
from gantry.metrics.statistics import FeatureSet
from gantry.pixels import to_uint8

PAIR_COLUMNS, PAIR_ROWS = 10, 3  # pairs: a row of samples, and below it the nearest training image of each

PAIR_LABELS = ("sample", "nearest training image")


def write_neighbours_figure(
    path: Path, source: SampleSource, fake: FeatureSet, reference: Reference, real: FeatureSet
) -> None:
    """Write a picture of the samples that are nearest to a training image in feature space, the nearest first. There is
    none for points, and for samples whose shape is not that of the real images.
    """
    if source.facts.shape != reference.shape or len(reference.shape) != 3:
        return
    assert fake.features is not None
    distance, index = find_nearest_neighbours(fake.features, get_training_features(real))
    columns = min(PAIR_COLUMNS, len(distance))
    suspects = distance.argsort()[: min(PAIR_ROWS, len(distance) // columns) * columns]
    samples = torch.cat([_to_uint8_cpu(source.images(i, i + 1)) for i in suspects.tolist()])
    trained = torch.cat([get_training_image(reference, i) for i in index[suspects].tolist()])
    rows = [image for pair in zip(torch.split(samples, columns), torch.split(trained, columns)) for image in pair]
    write_png(add_row_labels(make_image_grid(torch.cat(rows), columns=columns), PAIR_LABELS * (len(rows) // 2)), path)


def get_training_image(reference: Reference, i: int) -> Tensor:
    """Return the i-th of the training images and, behind them, the mirrored ones: uint8 [1, C, H, W]."""
    source = reference if i < reference.count else reference.flipped_reference
    return _to_uint8_cpu(source.images(i % reference.count, i % reference.count + 1))


def _to_uint8_cpu(x: Tensor) -> Tensor:
    return (x if x.dtype == torch.uint8 else to_uint8(x)).cpu()
