"""Every kind of output of sample.py, and what it refuses."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from gantry.commands.sample import write_samples
from gantry.commands.sample_job import render_frame
from gantry.errors import UserError
from gantry.figures.sample_sheet import SampleSheet
from gantry.pixels import to_uint8
from gantry.runs.generator import save_generator
from gantry.sampling.generate import iter_sample_batches
from gantry.sampling.latents import balanced_labels, sample_latents, slerp
from stubs import NoisyG, TinyG

DEFAULTS = {"which": None, "what": "grid", "n": 10, "seed": 0, "class": None, "truncation": None, "out": None}
DEFAULTS |= {"log_to": None, "trust": ["stubs"]}


def run(folder: Path, shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 0) -> Path:
    """A run that left a generator."""
    config = {"_target_": "stubs.TinyG", "shape": shape, "num_classes": num_classes}
    names = {"classes": [f"class {k}" for k in range(num_classes)]}
    save_generator(TinyG(shape, num_classes=num_classes), config, folder / "generator" / "last", names)
    return folder


def ask(folder: Path, **keys: Any) -> Path:
    return write_samples(OmegaConf.create({**DEFAULTS, "run": str(folder), "device": "cpu", **keys}))


def expected(n: int, shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 0) -> torch.Tensor:
    return torch.cat(list(iter_sample_batches(TinyG(shape, num_classes=num_classes), 0, 0, n, 7, "cpu")))


def pixels(x: torch.Tensor) -> np.ndarray:
    """x float [N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C]."""
    return to_uint8(x).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 6)])
def test_npz_has_the_samples_that_metrics_see(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with np.load(ask(run(tmp_path, shape), what="npz", n=300)) as file:
        assert file.files == ["arr_0"]
        assert file["arr_0"].dtype == np.uint8
        np.testing.assert_array_equal(file["arr_0"], pixels(expected(300, shape)))


def test_npz_has_the_classes_of_conditional_samples(tmp_path: Path) -> None:
    with np.load(ask(run(tmp_path, num_classes=3), what="npz", n=200)) as file:
        np.testing.assert_array_equal(file["arr_1"], balanced_labels(0, 200, 3))
        assert file["arr_1"].dtype == np.int64


def test_npz_of_points(tmp_path: Path) -> None:
    with np.load(ask(run(tmp_path, (2,)), what="npz", n=150)) as file:
        np.testing.assert_array_equal(file["arr_0"], expected(150, (2,)).numpy())
        assert file["arr_0"].dtype == np.float32


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_a_folder_of_pngs(tmp_path: Path, channels: int, mode: str) -> None:
    shape = (channels, 8, 8)
    folder = ask(run(tmp_path, shape), what="png", n=130)
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"{i:05d}.png" for i in range(130)]
    assert Image.open(files[0]).mode == mode
    got = np.stack([np.asarray(Image.open(path)).reshape(8, 8, -1) for path in files])
    np.testing.assert_array_equal(got, pixels(expected(130, shape)))
    assert ask(tmp_path, what="png", n=130) == folder  # again, over the same files


def test_a_square_grid(tmp_path: Path) -> None:
    picture = Image.open(ask(run(tmp_path), n=10))
    assert picture.size == (4 * 50 + 2, 3 * 50 + 2)
    cells = np.asarray(picture)[26::50, 26::50].flatten()[:10]
    np.testing.assert_array_equal(cells, pixels(expected(10))[:, 0, 0, 0])


def test_a_grid_with_a_row_for_each_class(tmp_path: Path) -> None:
    labelled = Image.open(ask(run(tmp_path, num_classes=3), n=12))
    picture = labelled.crop((labelled.width - (4 * 50 + 2), 0, *labelled.size))  # without the names of the classes
    assert picture.size == (4 * 50 + 2, 3 * 50 + 2)
    wanted = TinyG(num_classes=3)(sample_latents(0, 0, 12, 4), torch.arange(12) % 3).detach()
    cells = np.asarray(picture)[26::50, 26::50]
    np.testing.assert_array_equal(cells.T.flatten(), pixels(wanted)[:, 0, 0, 0])


@pytest.mark.parametrize("chosen", [2, "class 2"])
def test_one_class(tmp_path: Path, chosen: int | str) -> None:
    z = sample_latents(0, 0, 9, 4)
    wanted = TinyG(num_classes=3)(z, torch.full((9,), 2)).detach()
    with np.load(ask(run(tmp_path, num_classes=3), what="npz", n=9, **{"class": chosen})) as file:
        np.testing.assert_array_equal(file["arr_0"], pixels(wanted))


def test_an_interpolation_is_a_closed_walk(tmp_path: Path) -> None:
    animation = Image.open(ask(run(tmp_path), what="interpolation", n=32))
    assert animation.n_frames == 32
    frames = []
    for i in range(32):
        animation.seek(i)
        frames.append(np.asarray(animation.convert("L")).astype(float))
    steps = [np.abs(a - b).max() for a, b in zip(frames, [*frames[1:], frames[0]])]
    assert max(steps) < 40  # no jump anywhere, from the last frame to the first neither
    assert np.abs(frames[0] - frames[16]).max() > 60


def test_an_interpolation_keeps_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only z moves: mixed noise would be weaker than noise."""
    frames = []
    render = SampleSheet.render
    monkeypatch.setattr(SampleSheet, "render", lambda self, *args: frames.append(self.z) or render(self, *args))
    G, z = NoisyG(), torch.randn(3, 2, 6)
    for position in (0.0, 0.5, 1.0, 2.75):
        render_frame(G, z, torch.zeros(2).long(), position, "cpu")
    assert all(torch.equal(frame[:, 4:], z[0, :, 4:]) for frame in frames)
    torch.testing.assert_close(frames[0], z[0])
    torch.testing.assert_close(frames[1][:, :4], slerp(z[0, :, :4], z[1, :, :4], 0.5))
    torch.testing.assert_close(frames[3][:, :4], slerp(z[2, :, :4], z[0, :, :4], 0.75))


def test_an_interpolation_of_points(tmp_path: Path) -> None:
    assert Image.open(ask(run(tmp_path, (2,)), what="interpolation", n=2)).size == (480, 480)


def test_slerp_stays_on_the_sphere() -> None:
    a, b = torch.eye(3)[:1], torch.eye(3)[1:2]
    torch.testing.assert_close(slerp(a, b, 1 / 3), torch.tensor([[math.sqrt(3) / 2, 0.5, 0.0]]))
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, 2 * a, 0.5), 1.5 * a)


def test_truncation_reaches_the_samples(tmp_path: Path) -> None:
    with np.load(ask(run(tmp_path), what="npz", n=500, truncation=0.1)) as file:
        assert file["arr_0"].astype(int).max() <= math.ceil(127.5 * (1 + math.tanh(0.025)))
        assert len(np.unique(file["arr_0"])) > 2


def test_memory_is_bounded_by_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = TinyG.forward
    monkeypatch.setattr(TinyG, "forward", lambda self, z, c: seen.append(len(z)) or forward(self, z, c))
    ask(run(tmp_path), what="npz", n=300)
    assert seen == [128, 128, 44]


def test_the_file_name_describes_the_samples(tmp_path: Path) -> None:
    run(tmp_path, num_classes=5)
    name = ask(tmp_path, what="npz", n=3, seed=2, truncation=0.5, **{"class": 4}).name
    assert name == "npz-3-seed2-class4-truncation0.5.npz"
    assert ask(tmp_path, out=str(tmp_path / "a" / "b.png")) == tmp_path / "a" / "b.png"
    assert (tmp_path / "a" / "b.png").exists()


@pytest.mark.parametrize(
    ("request_keys", "line"),
    [
        ({"n": 0}, "n must be an integer of at least 1, got 0"),
        ({"n": 2.5}, "n must be an integer of at least 1, got 2.5"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"n": 10_001}, "n must be at most 10000 for what=grid, got 10001"),
        ({"what": "gif"}, "what must be one of grid, png, npz, interpolation, got gif"),
        ({"class": 0}, "class must be null for a generator without classes, got 0"),
        ({"truncation": 0}, "truncation must be a number above 0 or null, got 0"),
        ({"truncation": "much"}, "truncation must be a number above 0 or null, got much"),
        ({"device": "cuda:99"}, "device must be auto or .*cpu on this machine, got cuda:99"),
        ({"log_to": "wb"}, "log_to must be null or one of mlflow, tensorboard, wandb, got wb"),
        ({"log_to": "wandb", "what": "npz"}, r"log_to must be null for what=npz \(only a grid is logged\), got wandb"),
        ({"run": None}, "run must be the folder of a run, got null"),
        ({"run": "gone"}, "run must be the folder of a run, got gone, which does not exist"),
        ({"which": "best"}, "run must be a folder with generator/best, got .*"),
        ({"out": "."}, "out must be a file here, got ."),
        ({"what": "png", "out": "tests"}, "out must be a folder without other files, got tests with .*"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, request_keys: dict[str, Any], line: str) -> None:
    run(tmp_path)
    with pytest.raises(ValueError, match=rf"^{line}$"):
        ask(tmp_path, **request_keys)


@pytest.mark.parametrize("chosen", [3, -1, "cat", 1.5, True])
def test_a_class_that_does_not_exist(tmp_path: Path, chosen: Any) -> None:
    run(tmp_path, num_classes=3)
    known = "class must be one of 0 to 2, or one of class 0, class 1, class 2"
    with pytest.raises(ValueError, match=rf"^{known}, got {chosen}$"):
        ask(tmp_path, **{"class": chosen})


@pytest.mark.parametrize("shape", [(2,), (5, 8, 8)])
def test_samples_that_png_cannot_hold(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^what must not be png for samples of shape"):
        ask(run(tmp_path, shape), what="png")


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and Path(path).exists())
    rule = "out must be where a file can be written"
    with pytest.raises(UserError, match=rf"^{rule}, got {tmp_path}/generated/.*: {tmp_path} is read-only$"):
        ask(folder)
