"""The picture of samples and the training images that they are nearest to."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gantry.evaluation.generator_samples import SampleSource
from gantry.evaluation.protocol import SampleFacts
from gantry.evaluation.reference import Reference
from gantry.figures.nearest_training_images import PAIR_COLUMNS, write_neighbours_figure
from gantry.metrics.statistics import FeatureSet, Statistics
from gantry.pixels import from_uint8


def levels(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def make_features(x: Tensor) -> FeatureSet:
    return FeatureSet(Statistics(1), features=x.flatten(1)[:, :1].float())


def test_a_sample_is_above_its_nearest_training_image(tmp_path: Path) -> None:
    trained, generated = levels([0, 50, 100, 150, 200]), levels([40, 101, 0, 153, 249, *[255] * 30])
    reference = Reference("few", "train", "", 5, (1, 8, 8), lambda start, stop: trained[start:stop])
    samples = SampleSource(lambda start, stop: from_uint8(generated[start:stop]), None, SampleFacts((1, 8, 8), "last"))
    write_neighbours_figure(tmp_path / "n.png", samples, make_features(generated), reference, make_features(trained))
    labels, pictures = np.split(np.asarray(Image.open(tmp_path / "n.png")), [-(50 * PAIR_COLUMNS + 2)], axis=1)
    assert all((labels[50 * row : 50 * row + 50] < 128).any() for row in range(6))  # a text beside each row
    assert (labels[:50] != labels[50:100]).any()
    np.testing.assert_array_equal(labels[:48], labels[100:148])
    cells = pictures[26::50, 26::50]
    assert cells.shape == (6, PAIR_COLUMNS)
    assert cells[0, :5].tolist() == [0, 101, 153, 40, 249]  # by distance: 0, 1, 3, 10, 49
    assert cells[1, :5].tolist() == [0, 100, 150, 50, 200]


def test_images_of_another_shape_have_no_picture(tmp_path: Path) -> None:
    generated = levels([0, 1])
    reference = Reference("few", "train", "", 2, (3, 8, 8), lambda start, stop: generated[start:stop])
    samples = SampleSource(lambda start, stop: generated[start:stop], None, SampleFacts((1, 8, 8), "files"))
    write_neighbours_figure(tmp_path / "n.png", samples, make_features(generated), reference, make_features(generated))
    assert not (tmp_path / "n.png").exists()
