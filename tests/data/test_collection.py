"""The same images from a folder, a .zip, an .npz and an .npy, for training and for scores; hostile archives."""

import copy
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from denied_folder import deny_folder
from gantry.data.archives import MAX_MEMBER_BYTES
from gantry.data.collection import EncodedImages, open_collection
from gantry.data.folder import ImageFolder
from gantry.data.image_files import ImageFiles
from gantry.data.images import RealData, Split

CLASSES = ["dog", "cat", "eel"]
X: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (30, 6, 8, 3), dtype=np.uint8)


def load(root: Path, **changes: object) -> RealData:
    settings = {"shape": [3, 6, 8], "test_share": 0.2, "min_images": 1, "memory_limit": 1, "workers": 0}
    return ImageFolder(str(root), **{**settings, **changes}).load()  # type: ignore[arg-type]


def read_all(data: RealData, split: Split) -> list[tuple[bytes, str]]:
    """Return the pixels and the class of each image."""
    images = split.load_range(0, len(split))
    return [(x.numpy().tobytes(), data.classes[c]) for x, c in zip(images.x, images.c)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 30 images into folders of three classes."""
    for i, pixels in enumerate(X):
        path = tmp_path / "folder" / CLASSES[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "folder"


def pack(folder: Path, path: Path, **extra: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(file, file.relative_to(folder))
        for name, data in extra.items():
            archive.writestr(name.replace("__", "."), data)
    return path


@pytest.mark.parametrize("memory_limit", [0, 1])
def test_an_archive_is_the_folder_that_it_was_made_of(folder: Path, memory_limit: float, tmp_path: Path) -> None:
    archive = pack(folder, tmp_path / "all.ZIP")
    ours, theirs = load(archive, memory_limit=memory_limit), load(folder)
    assert ours.classes == theirs.classes == ("cat", "dog", "eel")
    assert isinstance(ours.train, ImageFiles) == (memory_limit == 0)
    for ours_split, theirs_split in ((ours.train, theirs.train), (ours.test, theirs.test)):
        assert read_all(ours, ours_split) == read_all(theirs, theirs_split)


@pytest.mark.parametrize("suffix", [".npz", ".NPZ", ".npy"])
@pytest.mark.parametrize("memory_limit", [0, 1])
def test_arrays_hold_images_for_training(suffix: str, memory_limit: float, tmp_path: Path) -> None:
    path = tmp_path / f"all{suffix}"
    with path.open("wb") as file:
        np.save(file, X) if suffix == ".npy" else np.savez(file, X, np.array(CLASSES)[np.arange(30) % 3])
    data = load(path, memory_limit=memory_limit)
    assert data.classes == (() if suffix == ".npy" else ("cat", "dog", "eel"))
    images = torch.cat([split.load_range(0, len(split)).x for split in (data.train, data.test)])
    assert sorted(x.numpy().tobytes() for x in images) == sorted(x.transpose(2, 0, 1).tobytes() for x in X)
    if data.classes:
        by_pixels = {x.transpose(2, 0, 1).tobytes(): CLASSES[i % 3] for i, x in enumerate(X)}
        assert all(by_pixels[pixels] == name for pixels, name in read_all(data, data.train))


def test_compressed_arrays_are_read_into_memory_or_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "all.npz", X)
    assert len(load(tmp_path / "all.npz", test_share=0).train) == 30
    with pytest.raises(
        ValueError, match=r"^data\.source\.root must be uncompressed .* beyond data\.source\.memory_lim"
    ):
        load(tmp_path / "all.npz", memory_limit=0)


def test_arrays_may_have_any_number_of_channels(tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(0, 2**16, (10, 5, 4, 7)).astype(np.uint16)
    np.save(tmp_path / "all.npy", x)
    whole = load(tmp_path / "all.npy", shape=[7, 5, 4], bits=16, test_share=0).train.load_range(0, 10).x
    assert whole.dtype == torch.float32
    expected = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2) / 32767.5 - 1
    assert torch.allclose(whole.double(), expected, atol=1e-6)
    eight = load(tmp_path / "all.npy", shape=[7, 5, 4], test_share=0).train.load_range(0, 10).x
    assert torch.equal(eight, torch.from_numpy((x / 257).round().astype(np.uint8)).permute(0, 3, 1, 2))
    with pytest.raises(ValueError, match=r"^data\.shape must begin with 7, the channels of all\.npy, got \[3, 5, 4\]"):
        load(tmp_path / "all.npy", shape=[3, 5, 4])


def test_dataset_json_has_the_classes_and_not_the_folders(folder: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    labels = json.dumps({"labels": [[name, int(name[-6:-4]) % 2 + 4] for name in names]}).encode()
    (folder / "dataset.json").write_bytes(labels)
    for path in (folder, pack(folder, tmp_path / "all.zip", dataset__json=labels)):
        assert load(path).classes == ("4", "5")
    unlabelled = load(pack(folder, tmp_path / "all.zip", dataset__json=b'{"labels": null}'))
    assert unlabelled.classes == ()


def test_a_dataset_json_that_cannot_be_read_is_refused_in_a_folder_as_in_an_archive(folder: Path) -> None:
    with (folder / "dataset.json").open("wb") as file:
        file.truncate(MAX_MEMBER_BYTES + 1)
    rule = r"^data\.source\.root must be a folder that can be read"
    with pytest.raises(ValueError, match=rf"{rule}, got .* with dataset\.json: it has 268435457 bytes, more"):
        load(folder)


def test_an_archive_of_an_old_program_for_windows_is_the_folder(folder: Path, tmp_path: Path) -> None:
    names = {file: file.relative_to(folder).as_posix() for file in folder.rglob("*.png")}
    labels = json.dumps({"labels": [[name, int(name[-6:-4]) % 2] for name in names.values()]})
    for json_text, classes in (None, ("cat", "dog", "eel")), (labels, ("0", "1")):
        with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
            for file, name in names.items():
                archive.writestr(zipfile.ZipInfo(name.replace("/", "\\")), file.read_bytes())
            if json_text:
                archive.writestr("dataset.json", json_text)
                (folder / "dataset.json").write_text(json_text)
        ours, theirs = load(tmp_path / "windows.zip"), load(folder)
        assert ours.classes == theirs.classes == classes
        assert read_all(ours, ours.train) == read_all(theirs, theirs.train)
        assert len(load(tmp_path / "windows.zip", memory_limit=0).train.digest) == 64


def test_a_name_with_either_separator_is_there_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a/x.png", "a\\x.png"):
            archive.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(ValueError, match=r"all\.zip with a/x\.png, which is there 2 times"):
        open_collection(tmp_path / "all.zip", "samples")


def test_what_is_no_collection_names_its_key(tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    (tmp_path / "bad.zip").write_bytes(b"PK")
    np.save(tmp_path / "floats.npy", np.zeros((3, 4)))
    np.save(tmp_path / "objects.npy", np.array([{}]))
    np.save(tmp_path / "short.npy", X)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-1])
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "no image")
    for name, reason in {
        "x.tar": "must be a folder with images .*x.tar",
        "none": "must be a folder with images .*none",
        "bad.zip": "must be a whole .zip of image files, got .*bad.zip: File is not a zip file",
        "empty.zip": "must be a folder with images .*empty.zip",
        "objects.npy": "must be an .npy with one array, got .*: an array of Python objects, which is not unpickled",
        "short.npy": "must be an .npy with one array, got .*: 4319 bytes are too few for uint8",
    }.items():
        with pytest.raises(ValueError, match=f"^reference {reason}"):
            open_collection(tmp_path / name, "reference")
    with pytest.raises(
        ValueError, match=r"^data\.source\.root must hold images uint8 or uint16 \[N, H, W, C\], got float"
    ):
        load(tmp_path / "floats.npy")


@pytest.mark.parametrize(
    ("names", "mode", "reason"),
    [
        (["../x.png"], 0o100644, r"\.\./x\.png, which leads out of the archive"),
        (["/etc/x.png"], 0o100644, r"/etc/x\.png, which leads out of the archive"),
        (["a/..\\..\\x.png"], 0o100644, "which leads out of the archive"),
        (["C:/x.png"], 0o100644, "which leads out of the archive"),
        (["x.png"], 0o120777, r"x\.png, which is a symbolic link"),
        (["x.png", "y.png", "x.png"], 0o100644, r"x\.png, which is there 2 times"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_with_names_that_cannot_be_trusted(names: list[str], mode: int, reason: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in names:
            (member := zipfile.ZipInfo(name)).external_attr = mode << 16
            archive.writestr(member, b"")
    with pytest.raises(
        ValueError, match=f"^samples must be a whole .zip of image files, got .*all.zip with .*{reason}"
    ):
        open_collection(tmp_path / "all.zip", "samples")


def test_members_of_unbounded_size_are_not_unpacked(folder: Path, tmp_path: Path) -> None:
    path = pack(folder, tmp_path / "all.zip")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    name = data[entry + 46 : entry + 46 + struct.unpack_from("<H", data, entry + 28)[0]].decode()
    struct.pack_into("<I", data, entry + 24, MAX_MEMBER_BYTES + 1)
    path.write_bytes(data)
    collection = open_collection(path, "samples")
    assert isinstance(collection, EncodedImages)
    with pytest.raises(ValueError, match="unpacked it has 268435457 bytes"):
        collection.read_header(collection.names.index(name), 3)
    assert len(load(path, test_share=0).train) == 29  # reported with the broken files


def test_archives_are_opened_again_in_another_process(folder: Path, tmp_path: Path) -> None:
    collection = open_collection(pack(folder, tmp_path / "all.zip"), "samples")
    assert isinstance(collection, EncodedImages)
    pixels = collection.decode_pixels(0, 3)
    assert np.array_equal(copy.deepcopy(collection).decode_pixels(0, 3), pixels)
    if not (pid := os.fork()):
        os._exit(not all(collection.decode_pixels(i, 3).shape == (6, 8, 3) for i in range(30)))
    assert all(collection.decode_pixels(i, 3).shape == (6, 8, 3) for i in range(30))
    assert os.waitpid(pid, 0)[1] == 0


def test_an_unreadable_class_folder_does_not_vanish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_folder(monkeypatch, "eel")
    with pytest.raises(ValueError, match=r"^data\.source\.root must be a folder that can be read, .* eel: Permission"):
        load(folder)


def test_links_that_are_left_out_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "ant").symlink_to(folder / "dog")
    assert load(folder).classes == ("cat", "dog", "eel")
    assert f"{folder}: folders that are read once: ant (the same folder as dog)" in caplog.text


def test_broken_files_of_any_name_are_listed(folder: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder / "dog") + b"/caf\xe9.png")).write_bytes(b"no image")
    os.mkfifo(folder / "cat" / "pipe.png")
    assert len(load(folder, test_share=0).train) == 30
    message = caplog.records[-1].getMessage()
    assert "2 of 32 files cannot be read: cat/pipe.png (ValueError: a named pipe is no regular file)" in message
    assert r"dog/caf\udce9.png (UnidentifiedImageError" in message
    (tmp_path / "train.log").write_text(message, encoding="utf-8")
