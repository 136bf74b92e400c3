import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.helpers.image_bytes import make_chunk

from gantry.data.decoding import decode_image
from gantry.evaluation.sample_files import open_samples


def pixels(n: int, channels: int, side: int = 5) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels)).astype(np.uint8)


def write_pngs(folder: Path, x: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(x):
        Image.fromarray(image.squeeze()).save(folder / f"{i:03d}.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_folder_zip_and_npz_hold_the_same_images(channels: int, tmp_path: Path) -> None:
    x = pixels(12, channels)
    write_pngs(tmp_path / "folder" / "inner", x)
    (tmp_path / "folder" / "readme.txt").write_text("no image")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((tmp_path / "folder").rglob("*.*"), reverse=True):
            archive.write(path, path.name)
    np.savez(tmp_path / "all.npz", x)
    for name in ("folder", "all.zip", "all.npz"):
        samples = open_samples(tmp_path / name, channels)
        assert samples.count == 12
        assert samples.shape == (channels, 5, 5)
        assert torch.equal(samples.images(3, 9), torch.from_numpy(x[3:9]).permute(0, 3, 1, 2))


def test_colours_become_those_of_the_real_images(tmp_path: Path) -> None:
    write_pngs(tmp_path, pixels(2, 1))
    assert open_samples(tmp_path, 3).images(0, 2).shape == (2, 3, 5, 5)


def test_points_are_read_from_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", np.ones((7, 2)))
    samples = open_samples(tmp_path / "points.npz", 3)
    assert samples.shape == (2,)
    assert samples.images(0, 7).dtype == torch.float32


def test_images_of_another_size_are_named(tmp_path: Path) -> None:
    write_pngs(tmp_path, pixels(3, 1))
    Image.fromarray(pixels(1, 1, side=6).squeeze()).save(tmp_path / "odd.png")
    with pytest.raises(ValueError, match=r"samples must all be 5x5 as 000\.png is, got odd\.png with 6x6"):
        open_samples(tmp_path, 1).images(0, 4)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        open_samples(tmp_path / "nowhere", 3)
    with pytest.raises(ValueError, match=r"samples must be a folder with images .* got .* without any"):
        open_samples(tmp_path, 3)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"samples must be images, got broken\.png"):
        open_samples(tmp_path, 3)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "broken.tif")
    (tmp_path / "broken.png").unlink()
    with pytest.raises(ValueError, match=r"samples must be images, got broken\.tif: .* floating-point pixels"):
        open_samples(tmp_path, 3).images(0, 1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 3, 8, 8), np.uint8), r"arr_0 uint8 or uint16 \[N, H, W, 1 or 3\], got uint8 \[4, 3, 8, 8\]"),
        (np.zeros((4, 8, 8, 3), np.float32), r"got float32 \[4, 8, 8, 3\]"),
        (np.array([{"a": 1}]), r"samples must be an \.npz with arr_0"),
    ],
)
def test_arrays_of_another_kind_are_refused(x: NDArray, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x)
    with pytest.raises(ValueError, match=message):
        open_samples(tmp_path / "x.npz", 3)


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", images=pixels(2, 3))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps([1]))
    (tmp_path / "text.npz").write_bytes(b"text")
    for name in ("named", "pickle", "text"):
        with pytest.raises(ValueError, match=r"samples must be an \.npz with arr_0"):
            open_samples(tmp_path / f"{name}.npz", 3)
    np.save(tmp_path / "one.npy", pixels(2, 3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(ValueError, match=r"with arr_0, got .*one\.npz: this is a single array"):
        open_samples(tmp_path / "one.npz", 3)


def write_zip(path: Path, x: NDArray[np.uint8]) -> Path:
    """An archive of pngs, stored as they are."""
    write_pngs(path.with_suffix(""), x)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(path.with_suffix("").iterdir()):
            archive.write(file, file.name)
    return path


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"text")
    with pytest.raises(
        ValueError, match=r"samples must be a whole \.zip of image files, got .*bad\.zip: File is not a zip file"
    ):
        open_samples(tmp_path / "bad.zip", 3)


def test_a_damaged_or_locked_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", pixels(2, 1))
    complete = path.read_bytes()
    image = (tmp_path / "all" / "001.png").read_bytes()
    path.write_bytes(complete.replace(image, image[:-1] + b"x", 1))
    with pytest.raises(ValueError, match=r"samples must be images, got 001\.png: BadZipFile: Bad CRC-32"):
        open_samples(path, 1)
    locked = bytearray(complete)
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        struct.pack_into("<H", locked, locked.index(signature) + flags, 1)
    path.write_bytes(locked)
    with pytest.raises(ValueError, match=r"samples must be images, got 000\.png: ValueError: it is encrypted"):
        open_samples(path, 1)


def test_hidden_files_are_skipped(tmp_path: Path) -> None:
    write_pngs(tmp_path / "all", pixels(3, 1))
    for folder in ("", "__MACOSX", ".thumbnails"):
        (tmp_path / "all" / folder).mkdir(exist_ok=True)
        (tmp_path / "all" / folder / "._000.png").write_bytes(b"not an image")
    shutil.copy(tmp_path / "all" / "000.png", tmp_path / "all" / "__MACOSX" / "000.png")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "all")
    assert open_samples(tmp_path / "all", 1).count == 3
    assert open_samples(tmp_path / "packed.zip", 1).count == 3


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        ([str(k) for k in range(12)], ["0", "1", "10", "11", *"23456789"]),  # in the order of the files
        (["007", "3"], ["007", "3"]),
        (["cat", "ant", "10"], ["10", "ant", "cat"]),
    ],
)
def test_folders_are_classes_by_their_names(folders: list[str], classes: list[str], tmp_path: Path) -> None:
    for folder in folders:
        write_pngs(tmp_path / folder, pixels(1, 1))
    samples = open_samples(tmp_path, 1)
    assert samples.labels is not None
    assert [samples.class_names[i] for i in samples.labels] == classes


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[0] = [10, 20, 30, 255]
    Image.fromarray(clear).save(tmp_path / "clear.png")
    x = open_samples(tmp_path, 3).images(0, 1)[0]
    assert x[:, 0, 0].tolist() == [10, 20, 30]
    assert x[:, 1:].unique().tolist() == [255]


def test_photographs_are_turned_upright_as_in_training(tmp_path: Path) -> None:
    x = pixels(1, 1, side=4)[0, :3, :, 0]  # 3 rows of 4
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(x).save(tmp_path / "a.png", exif=exif)
    samples = open_samples(tmp_path, 1)
    assert samples.shape == (1, 4, 3)
    assert np.array_equal(samples.images(0, 1)[0, 0].numpy(), np.rot90(x, -1))
    assert np.array_equal(decode_image(tmp_path / "a.png", (1, 4, 3))[0], np.rot90(x, -1))
    assert samples.conversions == "turned upright"


def test_xmp_turns_a_png_as_exif_does(tmp_path: Path) -> None:
    image, xmp = Image.fromarray(pixels(1, 1)[0, :3, :, 0]), PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    image.save(tmp_path / "a.png", pnginfo=xmp)
    samples = open_samples(tmp_path, 1)
    assert samples.shape == (1, 5, 3)
    assert samples.conversions == "turned upright"
    assert samples.images(0, 1).shape == (1, 1, 5, 3)
    image.save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"^samples must all be 5x3 as a\.png is, got b\.png with 3x5$"):
        open_samples(tmp_path, 1)


def test_a_png_that_is_turned_behind_its_pixels_is_refused_in_one_line(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels(1, 1)[0, :3, :, 0]).save(tmp_path / name)
    data, chunk = (tmp_path / "b.png").read_bytes(), make_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "b.png").write_bytes(data[:-12] + chunk + data[-12:])
    with pytest.raises(ValueError, match=r"^samples must all be 3x5 as a\.png is, got b\.png with 5x3$"):
        open_samples(tmp_path, 1).images(0, 2)


def test_every_format_of_training_is_a_sample(tmp_path: Path) -> None:
    x = pixels(1, 1).squeeze()
    for suffix in ("png", "PNG", "bmp", "gif", "tif", "TIFF", "pgm", "pnm"):
        Image.fromarray(x).save(tmp_path / f"a.{suffix}", "PPM" if suffix in ("pgm", "pnm") else None)
    (tmp_path / "b.ppm").write_bytes(b"P6 5 5 255 " + np.repeat(x[:, :, None], 3, 2).tobytes())
    samples = open_samples(tmp_path, 1)
    assert samples.count == 9
    assert np.array_equal(samples.images(0, 9)[:, 0].numpy(), np.stack([x] * 9))


@pytest.mark.parametrize("name", ["x.npz", "x.NPZ", "packed.npz", "x.npy"])
def test_arrays_are_read_in_pieces_in_any_order(name: str, tmp_path: Path) -> None:
    x = pixels(12, 3)
    with (tmp_path / name).open("wb") as file:
        (np.save if name.endswith("npy") else np.savez_compressed if name == "packed.npz" else np.savez)(file, x)
    samples = open_samples(tmp_path / name, 3)
    for start, stop in ((3, 9), (0, 2), (11, 20), (4, 4)):
        assert torch.equal(samples.images(start, stop), torch.from_numpy(x[start:stop]).permute(0, 3, 1, 2))


def test_16_bits_become_8_and_the_protocol_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", (pixels(4, 1).astype(np.uint16) * 257))
    samples = open_samples(tmp_path / "x.npz", 1)
    assert samples.conversions == "16 bits to 8"
    assert torch.equal(samples.images(0, 4), torch.from_numpy(pixels(4, 1)).permute(0, 3, 1, 2))
    Image.fromarray(np.full((5, 5), 200 * 257, np.uint16)).save(tmp_path / "a.png")
    (tmp_path / "x.npz").unlink()
    samples = open_samples(tmp_path, 3)
    assert samples.images(0, 1).unique().tolist() == [200]
    assert samples.conversions == "16 bits to 8, grey to colour"


def test_the_key_of_the_mistake_is_named(tmp_path: Path) -> None:
    write_pngs(tmp_path / "images", pixels(1, 1))
    for key in ("samples", "reference", "metrics.reference"):
        with pytest.raises(ValueError, match=f"^{key} must be a folder with images"):
            open_samples(tmp_path / "nowhere", 1, key)
        with pytest.raises(ValueError, match=f"^{key} must be an .npz or .npy with 5 channels"):
            open_samples(tmp_path / "images", 5, key)


def test_labels_that_are_no_classes_are_said_when_they_are_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", pixels(3, 1), np.array([0.5, 1, 2]))
    samples = open_samples(tmp_path / "x.npz", 1)
    assert samples.labels is None
    assert samples.unlabelled == "arr_1 float64 [3] with numbers that are not whole"
