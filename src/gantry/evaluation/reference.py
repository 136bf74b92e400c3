"""Real images that samples are compared with, and their features."""

import hashlib
import logging
import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gantry.data.class_names import ClassLabels, complete_classes
from gantry.data.datamodule import DataModule
from gantry.data.images import Split
from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.evaluation.cache import load_or_compute
from gantry.evaluation.feature_pass import FeaturePass, ImageSource
from gantry.evaluation.sample_files import SampleFiles, open_samples
from gantry.features.extractor import describe_preprocessing
from gantry.features.published_weights import TensorMapping
from gantry.metrics.score import MinimumSamples, Requirement
from gantry.metrics.statistics import FeatureSet, Statistics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """`count` real images; `digest` is a hash of what they are, `name` and `split` are for people.

    images(start, stop) gives uint8 [n, *shape], or float for points and for images of more than 8 bits. `labels` int64
    [count] are their classes among `class_names`, where there are any, and `unlabelled` says why there are none. For
    the images that D is trained on, `held_out` are the real images that it never sees, and `has_flips` is True if it
    sees mirrored ones as well. `conversions` says what decoding files changed, None if it changed nothing.
    """

    name: str
    split: str
    digest: str
    count: int
    shape: tuple[int, ...]
    images: ImageSource = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    held_out: "Reference | None" = None
    has_flips: bool = False
    class_names: tuple[str, ...] = ()
    unlabelled: str = ""
    conversions: str | None = None

    @property
    def flipped_reference(self) -> "Reference":
        """Return the same images, flipped left to right."""
        images = self.images
        return replace(self, digest=f"{self.digest} mirrored", images=lambda start, stop: images(start, stop).flip(-1))


def check_score_requirements(reference: Reference, name: str, needs: Requirement, fewest: MinimumSamples) -> None:
    """Raise UserError unless a score, called `name` in metrics.scores, can be computed with these real images."""
    _check_image_count(reference, name, fewest.real)
    if Requirement.LABELS in needs:
        _check_images_per_class(reference, name, fewest.real_per_class)
    if Requirement.HELD_OUT not in needs:
        return
    if reference.held_out is None:
        raise UserError(
            f"metrics.reference must be train, beside which images are held out, for the score {name}, "
            f"got {reference.split} of {reference.name}"
        )
    _check_image_count(reference.held_out, name, fewest.held_out)


def _check_images_per_class(reference: Reference, name: str, fewest: int) -> None:
    if reference.labels is None:
        why = f" ({reference.unlabelled})" if reference.unlabelled else ""
        raise UserError(f"metrics.scores.{name} must be left out for images without classes, got {reference.name}{why}")
    count, k = reference.labels.bincount(minlength=len(reference.class_names)).min(0)
    if count < fewest:
        rule = f"metrics.scores.{name} must be left out where a class has fewer than {fewest} images"
        called = reference.class_names[int(k)] if reference.class_names else int(k)
        raise UserError(f"{rule}, got {int(count)} of class {called} of {reference.name}")


def _check_image_count(reference: Reference, name: str, fewest: int) -> None:
    if reference.count < fewest:
        raise UserError(
            f"metrics.scores.{name} must be left out or set for {reference.count} images of {reference.name} "
            f"({reference.split}), got one that needs {fewest}"
        )


def extract_reference(reference: Reference, needs: Requirement, reader: FeaturePass, cache: Path | None) -> FeatureSet:
    """Return the features of real images that scores with these requirements use; every process must call it."""
    real = replace(_extract_image_set(reference, reader, cache), labels=reference.labels)
    if Requirement.HELD_OUT not in needs:
        return real
    assert reference.held_out is not None
    mirrored = _extract_image_set(reference.flipped_reference, reader, cache).features if reference.has_flips else None
    return replace(
        real,
        held_out_features=_extract_image_set(reference.held_out, reader, cache).features,
        flipped_features=mirrored,
    )


def _extract_image_set(reference: Reference, reader: FeaturePass, cache: Path | None) -> FeatureSet:
    extractor = reader.extractor
    facts = {
        "extractor": extractor.name,
        "extractor_digest": extractor.digest,
        "resizer": describe_preprocessing(extractor, reference.shape),
        "real_digest": reference.digest,
        "real_count": reference.count,
        "keep_features": reader.keep_features,
        "arithmetic": reader.arithmetic,
        "torch": torch.__version__,
    }

    def make() -> dict[str, Tensor]:
        count, name = reference.count, reference.name
        if collectives.rank() == 0:
            log.info("reading %d real images of %s with the extractor %s", count, name, extractor.name)
        features = reader.bound_memory(reference.shape).extract(reference.images, count)
        return features.statistics.to_tensors() | ({} if features.features is None else {"features": features.features})

    tensors = load_or_compute(
        cache,
        facts,
        make,
        reader.device,
        partial(_are_statistics, reference.count, extractor.dim, reader.keep_features),
    )
    return FeatureSet(Statistics.from_tensors(tensors), features=tensors.get("features"))


def _are_statistics(count: int, dim: int, keep_features: bool, tensors: TensorMapping) -> bool:
    """Return True for finite statistics of so many features, with the features if they are kept."""
    shapes = {"n": (), "mean": (dim,), "scatter": (dim, dim)} | ({"features": (count, dim)} if keep_features else {})
    is_complete = {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes
    return is_complete and bool(tensors["n"] == count) and all(tensor.isfinite().all() for tensor in tensors.values())


HASH_BATCH_BYTES = 2**24  # pixels in memory while a folder is hashed


def build_reference(data: DataModule, where: str, key: str = "metrics.reference") -> Reference:
    """Return the reference images: `where` is "train" (with the held-out images, if any), "test" or a path.

    `key` is the configuration key that names it.
    """
    if where not in ("train", "test"):
        return _path_reference(Path(where).expanduser(), data.shape, data.num_classes, key)
    held_out = _split_reference(data, "test") if where == "train" and len(data.data.test) else None
    return replace(_split_reference(data, where, held_out), has_flips=data.flip and where == "train")


def build_file_reference(path: Path, channels: int, num_classes: int, key: str) -> Reference:
    """Return the images at a path as the reference where there is no data set; files are decoded to `channels`."""
    return _path_reference(path, (channels, 1, 1), num_classes, key)


def _split_reference(data: DataModule, split: str, held_out: Reference | None = None) -> Reference:
    real: Split = data.get_reference_split(split)

    def images(start: int, stop: int) -> Tensor:
        return real.load_range(start, stop).x

    labels = real.c if data.num_classes else None
    classes = data.classes
    return Reference(
        data.name, split, real.digest, len(real), real.shape, images, labels, held_out, class_names=classes
    )


def _path_reference(path: Path, shape: tuple[int, ...], num_classes: int, key: str) -> Reference:
    files = open_samples(path, shape[0] if len(shape) == 3 else 3, key)
    if len(files.shape) != len(shape):
        raise UserError(f"{key} must hold real images like {list(shape)}, got {list(files.shape)} in {path}")
    real = Reference(path.name, "folder", _hash_pixels(files), files.count, files.shape, files.images)
    real = replace(real, unlabelled=files.unlabelled, conversions=files.conversions)
    if files.labels is None or not num_classes:
        return real
    try:
        labels = complete_classes(ClassLabels(files.class_names, files.labels.numpy()), num_classes)
    except ValueError as error:
        return replace(real, unlabelled=f"{error}, where data.num_classes is {num_classes}")
    return replace(real, labels=torch.from_numpy(labels.ids), class_names=labels.names)


def _hash_pixels(files: SampleFiles) -> str:
    """Return a hash of every pixel."""
    sha = hashlib.sha256(str((files.count, files.shape)).encode())
    step = max(1, HASH_BATCH_BYTES // math.prod(files.shape))
    for start in range(0, files.count, step):
        sha.update(files.images(start, min(start + step, files.count)).contiguous().numpy().data)
    return sha.hexdigest()
