"""Whatever lies at the path of an image collection is read, or refused in one line: no traceback, no hang, no code.

`make fuzz` tries 500 collections; GANTRY_FUZZ=N tries so many.
"""

import io
import json
import os
import pickle
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from config_fuzz import HangError, Tally, describe_error, find_one_line
from file_fuzz import Touch, list_cases, mutate_bytes, mutate_file
from gantry.data.folder import ImageFolder
from gantry.errors import user_errors
from gantry.evaluation.sample_files import open_samples

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MODES = ("L", "RGB", "RGBA", "P", "LA", "1", "CMYK", "I;16", "I", "F")
NAMES = ("a", "ä 尺", "x" * 200, "with blank", "-n", "a\nb", "%s", "$HOME", ".hidden", "a,b=c")


def encode_image(source: random.Random) -> tuple[str, bytes]:
    """Return an image of any kind: its suffix and its bytes."""
    kind, mode = source.choice(FORMATS), source.choice(MODES)
    side = source.choice([(8, 8), (8, 8), (8, 8), (1, 1), (3, 17)])
    pixels = np.frombuffer(source.randbytes(side[0] * side[1] * 3), np.uint8).reshape(*side, 3)
    image, file = Image.fromarray(pixels).convert("L" if mode.startswith("I;") else mode), io.BytesIO()
    try:
        image.save(file, kind)
    except (OSError, ValueError):  # a format without this mode
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
    suffix = source.choice([kind.lower(), kind, "png", "jpg"])
    return f".{suffix}", file.getvalue()


def make_files(source: random.Random) -> dict[str, bytes]:
    """Return the files of a folder or archive by their names, some of them faulty."""
    files = {}
    classes = source.choice([[""], ["0/", "1/", "2/"], ["cat/", "dog/"], ["deep/er/", ""]])
    for i in range(source.choice([0, 1, 4, 12])):
        suffix, data = encode_image(source)
        data = mutate_bytes(source, data) if source.random() < 0.15 else data
        data = claim_size(source, data) if source.random() < 0.02 and data.startswith(b"\x89PNG") else data
        files[f"{source.choice(classes)}{source.choice(NAMES)}{i}{suffix}"] = data
    if source.random() < 0.3:
        labels: Any = [[name, source.choice([0, 1, 5, -1, 0.5, "a", [1, 0], None])] for name in files]
        content: Any = source.choice([{"labels": labels}, {"labels": labels[1:]}, {"labels": 3}, [], {"labels": None}])
        files["dataset.json"] = source.choice([json.dumps(content).encode(), b"{", b"[" * 10**5])
    return files


def make_link(name: str) -> zipfile.ZipInfo:
    """Return the entry of an archive that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def claim_size(source: random.Random, data: bytes) -> bytes:
    """Return a PNG whose header claims an absurd size."""
    side = source.choice([13000, 60000, 2**31 - 1])
    header = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def write_folder(source: random.Random, path: Path) -> None:
    path.mkdir()
    for name, data in make_files(source).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    fault = source.randrange(8)
    if fault == 0:
        (path / "loop").symlink_to(path, target_is_directory=True)
    elif fault == 1:
        os.mkfifo(path / "x.png")
    elif fault == 2:
        (path / os.fsdecode(b"\xff.png")).write_bytes(b"nothing")
    elif fault == 3:
        (path / "dangling.png").symlink_to(path / "nowhere")
    elif fault == 4 and (files := [file for file in path.rglob("*") if file.is_file()]):
        mutate_file(source, source.choice(files))


def write_zip(source: random.Random, path: Path) -> None:
    with zipfile.ZipFile(path, "w", source.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        if source.random() < 0.1:
            archive.writestr(make_link("link.png"), "../outside.png")
        for name, data in make_files(source).items():
            member = source.choice([name] * 8 + [f"../{name}", f"/{name}", name.replace("/", "\\")])
            archive.writestr(member, data)
            if source.random() < 0.05:
                archive.writestr(member, data)
    if source.random() < 0.3:
        path.write_bytes(mutate_bytes(source, path.read_bytes()))


def make_array(source: random.Random, canary: Path) -> Any:
    shape = source.choice([(4, 8, 8, 3), (4, 8, 8, 1), (4, 8, 8, 5), (4, 8, 8), (4, 2), (0, 8, 8, 3), (4, 3, 8, 8), ()])
    kind = source.choice(["uint8", "uint8", "uint16", "float32", "int64", "bool", "complex64", "U3", "object"])
    if kind == "object":
        return np.array([Touch(canary)], dtype=object)
    return np.asarray(np.zeros(shape) + source.choice([0, 1, 200])).astype(kind)


def make_labels(source: random.Random, canary: Path) -> Any:
    labels: list[Any] = [np.arange(4), np.arange(4.0), np.eye(4), np.arange(4)[:, None], np.array(list("abcd"))]
    labels += [np.arange(3), np.array([0, 1, 2, 99]), np.array([-1, 0, 0, 0]), np.array([0.5, 1, 1, 1]), np.nan]
    return source.choice([*labels, np.array([np.nan] * 4), np.array([Touch(canary)], dtype=object)])


def write_arrays(source: random.Random, path: Path) -> None:
    canary = path.parent / "canary"
    if path.suffix == ".npy":
        np.save(path, make_array(source, canary))
    else:
        labels = {"arr_1": make_labels(source, canary)} if source.random() < 0.5 else {}
        save: Callable[..., None] = source.choice([np.savez, np.savez_compressed])
        save(path, **{source.choice(["arr_0"] * 5 + ["x"]): make_array(source, canary)}, **labels)
    fault = source.random()
    if fault < 0.3:
        path.write_bytes(mutate_bytes(source, path.read_bytes()))
    elif fault < 0.35:
        path.write_bytes(pickle.dumps(Touch(canary)))
    elif fault < 0.4:
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 64, 64, 3), }"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


WRITERS = {"folder": write_folder, "s.zip": write_zip, "s.npz": write_arrays, "s.npy": write_arrays}


def write_collection(source: random.Random, folder: Path) -> Path:
    name, write = source.choice(list(WRITERS.items()))
    write(source, folder / name)
    return folder / name


def read_samples(path: Path) -> None:
    """Read a collection as `samples=` does."""
    files = open_samples(path, 3)
    for start in range(0, files.count, 5):
        files.images(start, min(start + 5, files.count))


def read_training_images(path: Path, memory_limit: float) -> None:
    """Read a collection as `data=folder` does."""
    with user_errors():
        source = ImageFolder(str(path), (3, 8, 8), 0.2, 1, memory_limit, 0)
    data = source.load()
    for split in (data.train, data.test):
        split.load_range(0, len(split))


def try_collection(number: int, folder: Path) -> tuple[str, str, str]:
    """Return the name of collection `number`, its refusal and how reading it fails, "" for neither."""
    folder.mkdir()
    path, line = write_collection(random.Random(number), folder), ""
    for read in (
        read_samples,
        lambda path: read_training_images(path, 100),
        lambda path: read_training_images(path, 0),
    ):
        try:
            line = find_one_line(lambda read=read: read(path)) or line  # type: ignore[misc]
        except (Exception, HangError) as error:
            return path.name, "", describe_error(error)
    names = {entry.name for entry in folder.iterdir()} - {path.name, "outside.png"}
    return path.name, line, f"written or executed: {names}" if names else ""


@pytest.mark.filterwarnings("ignore:Duplicate name", "ignore::UserWarning:PIL")
@pytest.mark.usefixtures("_quiet")
def test_collections_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    tally = Tally()
    for number in list_cases():
        name, line, failure = try_collection(number, tmp_path / str(number))
        tally.add((number, name), line, failure)
    tally.check()
