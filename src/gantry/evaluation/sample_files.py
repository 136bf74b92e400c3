"""Images from another program: a folder, .zip, .npz or .npy, read piece by piece in the format of metrics."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantry.data.arrays import ArrayFile
from gantry.data.class_names import ClassLabels
from gantry.data.collection import ArrayImages, EncodedImages, label_array, open_collection
from gantry.data.decoding import CHANNEL_MODES, ImageHeader, read_parallel
from gantry.errors import UserError, format_on_one_line, to_printable
from gantry.evaluation.feature_pass import ImageSource


@dataclass(frozen=True)
class SampleFiles:
    """`count` samples of one `shape`: images(start, stop) -> uint8 [n, C, H, W], or points float [n, 2].

    `labels` int64 [count] are their classes among `class_names`, where they are known: by the top folder that a file
    lies in, by dataset.json, or by `arr_1` of an .npz; `unlabelled` says why they are not. `conversions` says for the
    protocol what decoding changed, None if it changed nothing.
    """

    count: int
    shape: tuple[int, ...]
    images: ImageSource
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    unlabelled: str = "samples without classes"
    conversions: str | None = None


def open_samples(path: Path, channels: int, key: str = "samples") -> SampleFiles:
    """Return the samples at a path, image files with `channels` channels, in the order of their names.

    Raises UserError, naming the configuration key and the file, for a file that is no image and for images of
    different sizes.
    """
    collection = open_collection(path, key)
    if isinstance(collection, ArrayFile):
        return _open_points(collection, channels, key)
    if isinstance(collection, ArrayImages):
        return _open_array_images(collection, channels, key)
    return _open_image_files(collection, channels, key)


def _open_points(array: ArrayFile, channels: int, key: str) -> SampleFiles:
    shape, dtype = array.shape, array.dtype
    if len(shape) != 2 or shape[1] != 2 or dtype.kind != "f":
        raise _make_array_error(array, channels, key)

    def points(start: int, stop: int) -> Tensor:
        return torch.from_numpy(array.read(start, stop).astype(np.float32))

    labels, reason = label_array(array)
    return _add_labels(SampleFiles(shape[0], (2,), points), labels, reason or SampleFiles.unlabelled)


def _list_channels(channels: int) -> set[int]:
    """Return the numbers of channels of an array that are samples beside real images with `channels`."""
    return {1, 3, channels}


def _make_array_error(array: ArrayFile, channels: int, key: str) -> UserError:
    name = "an array" if array.path.suffix.lower() == ".npy" else "arr_0"
    *others, last = map(str, sorted(_list_channels(channels)))
    rule = f"{name} uint8 or uint16 [N, H, W, {', '.join(others)} or {last}]"
    return UserError(f"{key} must hold {rule}, got {array.dtype} {list(array.shape)}")


def _open_array_images(collection: ArrayImages, channels: int, key: str) -> SampleFiles:
    count, height, width, stored = collection.array.shape
    if stored not in _list_channels(channels) or not count:
        raise _make_array_error(collection.array, channels, key)

    def images(start: int, stop: int) -> Tensor:
        return to_nchw(collection.read_pixels(start, stop))

    header = collection.read_header(0, channels)
    files = SampleFiles(count, (stored, height, width), images, conversions=_format_conversions(header.conversions))
    return _add_labels(files, collection.labels, collection.unlabelled)


def _open_image_files(collection: EncodedImages, channels: int, key: str) -> SampleFiles:
    """Return image files, which are decoded when they are asked for; their headers are read now."""
    names = [to_printable(name) for name in collection.names]
    if channels not in CHANNEL_MODES:
        rule = f"an .npz or .npy with {channels} channels, as the real images have"
        raise UserError(f"{key} must be {rule}, got image files in {collection.path}")
    headers = _read_headers(collection, channels, key)
    height, width = headers[0].height, headers[0].width
    for name, header in zip(names, headers):
        if (header.height, header.width) != (height, width):
            raise _make_size_error(key, (height, width), names[0], name, (header.height, header.width))

    def images(start: int, stop: int) -> Tensor:
        return to_nchw(np.stack([decode(i) for i in range(start, min(stop, len(names)))]))

    def decode(i: int) -> NDArray[np.uint8]:
        try:
            pixels = collection.decode_pixels(i, channels)
        except Exception as error:  # archives and Pillow's decoders raise anything from OSError to SyntaxError
            raise _make_image_error(key, names[i], format_on_one_line(error, with_type=True)) from None
        if pixels.shape[:2] != (height, width):  # a PNG may say behind its pixels how it is turned
            raise _make_size_error(key, (height, width), names[0], names[i], pixels.shape[:2])
        return pixels

    conversions = frozenset[str]().union(*(header.conversions for header in headers))
    text = _format_conversions(conversions)
    files = SampleFiles(len(names), (channels, height, width), images, conversions=text)
    return _add_labels(files, collection.labels, collection.unlabelled)


def _read_headers(collection: EncodedImages, channels: int, key: str) -> list[ImageHeader]:
    headers: dict[int, ImageHeader] = {}

    def read(i: int) -> None:
        headers[i] = collection.read_header(i, channels)

    errors = read_parallel(len(collection.names), read)
    for i, error in sorted(errors.items()):
        raise _make_image_error(key, to_printable(collection.names[i]), error)
    return [headers[i] for i in range(len(collection.names))]


def _make_size_error(key: str, size: tuple[int, int], first: str, name: str, other_size: tuple[int, int]) -> UserError:
    (height, width), (other_height, other_width) = size, other_size
    return UserError(f"{key} must all be {height}x{width} as {first} is, got {name} with {other_height}x{other_width}")


def _make_image_error(key: str, name: str, reason: str) -> UserError:
    return UserError(f"{key} must be images, got {name}: {to_printable(reason)}")


def _format_conversions(conversions: frozenset[str]) -> str | None:
    return ", ".join(sorted(conversions)) or None


def _add_labels(files: SampleFiles, labels: ClassLabels | None, unlabelled: str) -> SampleFiles:
    """Return samples with their classes, or with the reason why they have none."""
    if labels is None:
        return replace(files, unlabelled=unlabelled)
    return replace(files, labels=torch.from_numpy(labels.ids), class_names=labels.names)


def to_nchw(x: NDArray[np.uint8]) -> Tensor:
    """[N, H, W, C] -> [N, C, H, W]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
