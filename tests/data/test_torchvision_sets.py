"""torchvision's data sets: read from a folder, with an error of one line if that is impossible."""

import os
import pickle
import socket
import struct
import threading
import time
from hashlib import md5
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets
from torchvision.datasets import utils

from gantry.data.torchvision_sets import TorchvisionDataset


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(utils.urllib.request, "urlopen", refuse)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a file in MNIST's format: two zeros, type, dimensions, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def write_fashion_mnist(root: Path) -> np.ndarray:
    """Write six train images and four test images as Fashion-MNIST stores them; return the train images."""
    random = np.random.default_rng(0)
    for split, n in (("t10k", 4), ("train", 6)):
        images = random.integers(256, size=(n, 28, 28), dtype=np.uint8)
        write_idx(root / f"FashionMNIST/raw/{split}-images-idx3-ubyte", images)
        write_idx(root / f"FashionMNIST/raw/{split}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8))
    return images


@pytest.mark.usefixtures("no_network")
def test_grey_data_sets_are_read_without_network(tmp_path: Path) -> None:
    images = write_fashion_mnist(tmp_path)
    data = TorchvisionDataset("FashionMNIST", str(tmp_path)).load()
    assert torch.equal(data.train.load_range(0, 6).x[:, 0], torch.from_numpy(images))
    assert data.train.c.tolist() == [0, 1, 2, 3, 4, 5]
    assert (data.shape, len(data.test), data.num_classes) == ((1, 28, 28), 4, 10)
    assert data.classes[:2] == ("T-shirt/top", "Trouser")


@pytest.mark.usefixtures("no_network")
def test_colour_data_sets_are_read_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(2, 3 * 32 * 32), dtype=np.uint8)

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return md5((folder / name).read_bytes()).hexdigest()

    hashes = [write(name, {"data": pixels, "fine_labels": [7, 93]}) for name in ("train", "test")]
    meta = write("meta", {"fine_label_names": [f"class {i}" for i in range(100)]})
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", hashes[0]]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", hashes[1]]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", {**datasets.CIFAR100.meta, "md5": meta})
    data = TorchvisionDataset("CIFAR100", str(tmp_path)).load()
    assert torch.equal(data.train.load_range(0, 2).x.flatten(1), torch.from_numpy(pixels))
    assert (data.shape, data.train.c.tolist(), data.num_classes) == ((3, 32, 32), [7, 93], 100)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST", "CIFAR10", "CIFAR100"])
def test_missing_network_is_an_error_of_one_line_with_instructions(dataset: str, tmp_path: Path) -> None:
    root = tmp_path / "new"
    with pytest.raises(ValueError, match=r"^data\.source\.root must hold a complete ") as caught:
        TorchvisionDataset(dataset, str(root)).load()  # type: ignore[arg-type]
    message = str(caught.value)
    for part in (
        dataset,
        str(root),
        "Name or service not known",
        "put",
        "http" if "CIFAR" in dataset else ".gz",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("split", ["train", "t10k"])
@pytest.mark.parametrize("size", [0, 3, 20, 1000])
def test_damaged_copy_is_an_error_of_one_line(split: str, size: int, tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    path = tmp_path / f"FashionMNIST/raw/{split}-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"^data\.source\.root must [^\n]*delete a damaged copy first$"):
        TorchvisionDataset("FashionMNIST", str(tmp_path)).load()


@pytest.mark.usefixtures("no_network")
def test_unwritable_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^data\.source\.root must [^\n]*NotADirectoryError"):
        TorchvisionDataset("MNIST", str(tmp_path / "file" / "below")).load()


@pytest.mark.usefixtures("no_network")
def test_complete_copy_is_read_without_writing(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    TorchvisionDataset("FashionMNIST", str(tmp_path)).load()
    assert sorted(tmp_path.rglob("*")) == before


def test_silent_server_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
    monkeypatch.setattr("gantry.data.torchvision_sets._SOCKET_TIMEOUT_SECONDS", 0.2)
    with server, pytest.raises(ValueError, match="timed out"):
        TorchvisionDataset("MNIST", str(tmp_path)).load()
    assert socket.getdefaulttimeout() is None


def test_only_one_process_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use threads in place of processes: the lock is a file."""
    downloads = []

    def download(dataset: datasets.FashionMNIST) -> None:
        if not dataset._check_exists():
            time.sleep(0.05)  # long enough for the others to come
            downloads.append(threading.get_ident())
            write_fashion_mnist(tmp_path)

    monkeypatch.setattr(datasets.FashionMNIST, "download", download)
    threads = [threading.Thread(target=TorchvisionDataset("FashionMNIST", str(tmp_path)).load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloads) == 1


def get_real_source(dataset: str) -> TorchvisionDataset:
    if not (root := os.environ.get("GANTRY_DATA_DIR")):
        pytest.skip("GANTRY_DATA_DIR does not say where the real data are")
    return TorchvisionDataset(dataset, root)  # type: ignore[arg-type]


@pytest.mark.data
@pytest.mark.usefixtures("no_network")
def test_real_mnist() -> None:
    data = get_real_source("MNIST").load()
    assert (len(data.train), len(data.test), data.shape, data.num_classes) == (
        60_000,
        10_000,
        (1, 28, 28),
        10,
    )
    assert data.train.load_range(0, 60_000).x.float().mean().item() == pytest.approx(33.3184, abs=1e-3)
    assert data.train.c.bincount()[:2].tolist() == [5923, 6742]
    assert data.train.c[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.data
@pytest.mark.usefixtures("no_network")
def test_real_cifar10() -> None:
    data = get_real_source("CIFAR10").load()
    assert (len(data.train), len(data.test), data.shape) == (50_000, 10_000, (3, 32, 32))
    means = data.train.load_range(0, 50_000).x.float().mean((0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-4, rtol=0)
    assert (data.classes[3], data.train.c.bincount().tolist()) == ("cat", [5000] * 10)
