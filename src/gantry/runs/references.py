"""The real images that an evaluation compares with: a split of the data set, or images from anywhere."""

import hashlib
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from gantry.data.images import Split
from gantry.data.module import DataModule
from gantry.metrics.reference import Reference
from gantry.runs.sample_files import SampleFiles, open_samples

BLOCK = 1024  # images that are held while a folder is hashed


def reference_of(data: DataModule, where: str) -> Reference:
    """`where` is "train", "test" or a path; beside the training images stand those that are held out, if any."""
    if where not in ("train", "test"):
        return _of_path(Path(where).expanduser(), data.shape)
    held_out = _of_split(data, "test") if where == "train" and len(data.data.test) else None
    return replace(_of_split(data, where, held_out), mirrored=data.flip and where == "train")


def _of_split(data: DataModule, split: str, held_out: Reference | None = None) -> Reference:
    real: Split = data.reference(split)

    def images(start: int, stop: int) -> Tensor:
        return real.part(start, stop).x

    labels = real.c if data.num_classes else None
    return Reference(data.name, split, real.digest, len(real), real.shape, images, labels, held_out)


def _of_path(path: Path, shape: tuple[int, ...]) -> Reference:
    files = open_samples(path, shape[0] if len(shape) == 3 else 3)
    if len(files.shape) != len(shape):
        raise ValueError(
            f"metrics.reference must hold real images like {list(shape)}, got {list(files.shape)} in {path}"
        )
    return Reference(path.name, "folder", _digest(files), files.count, files.shape, files.images, files.labels)


def _digest(files: SampleFiles) -> str:
    """A hash of every pixel."""
    sha = hashlib.sha256(str((files.count, files.shape)).encode())
    for start in range(0, files.count, BLOCK):
        sha.update(files.images(start, min(start + BLOCK, files.count)).contiguous().numpy().data)
    return sha.hexdigest()
