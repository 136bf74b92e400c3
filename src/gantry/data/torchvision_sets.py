"""Data sets that torchvision downloads once and verifies: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError
from typing import Any, Literal

import torch
from filelock import FileLock
from torchvision import datasets

from gantry.data.images import DataSource, InMemoryImages, RealData
from gantry.errors import UserError

_SOCKET_TIMEOUT_SECONDS = 30.0  # torchvision itself sets none and would wait for ever

_MANUAL_DOWNLOADS = {  # data set: (files to download by hand, the subfolder to put them into)
    "MNIST": ("the four .gz files of https://ossci-datasets.s3.amazonaws.com/mnist/", "MNIST/raw"),
    "FashionMNIST": (
        "the four .gz files of https://github.com/zalandoresearch/fashion-mnist",
        "FashionMNIST/raw",
    ),
    "CIFAR10": ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", ""),
    "CIFAR100": ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", ""),
}
_READ_ERRORS = (RuntimeError, OSError, ValueError, AssertionError, EOFError, HTTPException, TarError)


@contextmanager
def _socket_timeout() -> Iterator[None]:
    default = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SOCKET_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(default)


@dataclass(frozen=True)
class TorchvisionDataset(DataSource):
    """One of torchvision's data sets below the folder `root`, with torchvision's own train and test split.

    Raises UserError, with the folder and how to fill it, if the data set is incomplete and cannot be downloaded.
    """

    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10", "CIFAR100"]
    root: str

    @property
    def folder(self) -> Path:
        return Path(self.root).expanduser()

    def load(self) -> RealData:
        with suppress(*_READ_ERRORS):
            return self._read_splits()
        try:
            self._download()
            return self._read_splits()
        except _READ_ERRORS as error:
            raise self._make_incomplete_error(error) from error

    def _read_splits(self) -> RealData:
        train, test = self._open_dataset(train=True), self._open_dataset(train=False)
        return RealData(self.dataset, _to_in_memory_images(train), _to_in_memory_images(test), tuple(train.classes))

    def _download(self) -> None:
        """Download the data set in one process; all other processes, also of other runs, wait for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{self.dataset}.lock"), _socket_timeout():
            self._open_dataset(train=False, download=True)

    def _open_dataset(self, train: bool, download: bool = False) -> Any:
        return getattr(datasets, self.dataset)(self.folder, train=train, download=download)

    def _make_incomplete_error(self, error: Exception) -> UserError:
        reason = f"{type(error).__name__}: {error}".strip().split("\n")[-1]
        files, subfolder = _MANUAL_DOWNLOADS[self.dataset]
        return UserError(
            f"data.source.root must hold a complete {self.dataset} or be a folder where it can be downloaded to, "
            f"got '{self.folder}' ({reason}). Run once with a network, or put {files} into "
            f"{self.folder / subfolder}; delete a damaged copy first"
        )


def _to_in_memory_images(dataset: Any) -> InMemoryImages:
    """Convert torchvision's [N, H, W] tensors (grey) or [N, H, W, 3] arrays (colour) to a split."""
    x = torch.as_tensor(dataset.data)
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)
    return InMemoryImages(x.contiguous(), torch.as_tensor(dataset.targets))
