"""Pictures of the same latents, at the right turns, in files and loggers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gantry.callbacks import samples
from gantry.callbacks.samples import SampleWriter, interval_of_kept
from gantry.data.images import InMemoryImages
from gantry.figures.sample_sheet import make_fixed_sheet
from stubs import RecordingLogger, TinyG, TinyGan, call_hooks, make_trainer_stub


def run(folder: Path, gan: TinyGan, turns: int = 20, every: int = 8, keep: int = 100, **more: Any) -> RecordingLogger:
    recorder = RecordingLogger()
    writer = SampleWriter(str(folder), every=every, rows=3, columns=4, keep=keep)
    call_hooks(writer, make_trainer_stub(recorder, **more), gan, turns)
    return recorder


def written_turns(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "samples").glob("*.png"))


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "samples").iterdir())


def test_pictures_at_the_start_every_eighth_turn_and_the_end(tmp_path: Path) -> None:
    recorder = run(tmp_path, TinyGan())
    names = ["000000.png", "000008.png", "000016.png", "000020.png"]
    assert written(tmp_path) == [*names, "samples.webp"]
    assert [(name, turn) for name, turn, _ in recorder.images] == [("samples", t) for t in (0, 8, 16, 20)]
    for name, (_, _, pixels) in zip(names, recorder.images):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "samples" / name)), pixels[..., 0])


def test_small_grey_images_stay_grey_and_are_enlarged(tmp_path: Path) -> None:
    run(tmp_path, TinyGan(), turns=0)
    picture = Image.open(tmp_path / "samples" / "000000.png")
    assert (picture.mode, picture.size) == ("L", (4 * 50 + 2, 3 * 50 + 2))


def test_latents_are_fixed_whatever_training_draws(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = run(tmp_path / "a", TinyGan(), turns=0).images[0][2]
    torch.manual_seed(2)
    torch.randn(7)
    state = torch.get_rng_state()
    second = run(tmp_path / "b", TinyGan(), turns=0).images[0][2]
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(np.unique(first)) > 6  # different latents


def test_a_row_for_each_class(tmp_path: Path) -> None:
    labelled = run(tmp_path, TinyGan(TinyG(num_classes=3)), turns=0).images[0][2]
    labels, pixels = labelled[:, : -(4 * 50 + 2)], labelled[:, -(4 * 50 + 2) :]
    assert all((labels[2 + 50 * row : 50 + 50 * row] < 128).any() for row in range(3))  # a text beside each row
    means = [pixels[2 + 50 * row : 50 + 50 * row].mean() for row in range(3)]
    assert means[0] < means[1] < means[2]  # tanh(z / 4 + c)
    cells = pixels[10::50, 10::50, 0]
    assert cells.shape == (3, 4)
    assert len(np.unique(cells[0])) == 4  # one class, four latents


def test_points_are_drawn_over_the_real_ones(tmp_path: Path) -> None:
    real = InMemoryImages(torch.full((50, 2), 0.5), torch.zeros(50, dtype=torch.int64))
    data = SimpleNamespace(get_reference_split={"train": real}.__getitem__)
    plain = run(tmp_path / "a", TinyGan(TinyG((2,))), turns=0).images[0][2]
    over = run(tmp_path / "b", TinyGan(TinyG((2,))), turns=0, datamodule=data).images[0][2]
    assert plain.shape == (480, 480, 3)
    assert (plain != over).any()
    assert plain.std() > 10  # there is something to see


def test_a_resumed_run_takes_no_picture_of_the_start_and_animates_all(tmp_path: Path) -> None:
    run(tmp_path, TinyGan(), turns=8)
    recorder = run(tmp_path, TinyGan(turn=8), turns=20)
    assert [turn for _, turn, _ in recorder.images] == [16, 20]
    animation = Image.open(tmp_path / "samples" / "samples.webp")
    assert animation.n_frames == 4
    assert animation.size == (202, 152 + 28)


@pytest.mark.parametrize(("pictures", "shown"), [(1, [0]), (2, [0, 1]), (7, [0, 2, 4, 6]), (40, [0, 13, 26, 39])])
def test_a_long_animation_skips_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: int, shown: list[int]
) -> None:
    monkeypatch.setattr(samples, "MAX_FRAMES", 4)
    output = []
    monkeypatch.setattr(samples, "add_caption", lambda picture, text, done: output.append((text, done)))
    for turn in range(pictures):
        Image.new("L", (4, 4)).save(tmp_path / f"{turn:06d}.png")
    list(samples.read_frames(tmp_path))
    assert [text for text, _ in output] == [f"turn {turn}" for turn in shown]
    assert output[-1][1] == (1.0 if pictures > 1 else 0.0)


def test_without_pictures_no_animation(tmp_path: Path) -> None:
    callback = SampleWriter(str(tmp_path), every=8)
    callback.on_training_end(make_trainer_stub(), TinyGan())
    assert not list(tmp_path.iterdir())


def test_large_images_make_no_huge_sheet() -> None:
    sheet = make_fixed_sheet(TinyG((3, 256, 320), num_classes=10), 0, rows=10, columns=10)
    assert (sheet.rows, len(sheet.z)) == (6, 30)
    assert sheet.c[:6].tolist() == [0, 2, 4, 5, 7, 9]


def test_one_process_alone_draws(tmp_path: Path) -> None:
    call_hooks(SampleWriter(str(tmp_path), every=8), make_trainer_stub(RecordingLogger(), rank=1), TinyGan(), 20)
    assert not list(tmp_path.iterdir())


def test_the_generator_keeps_its_mode(tmp_path: Path) -> None:
    gan = TinyGan()
    gan.G_ema.train()
    run(tmp_path, gan, turns=0)
    assert gan.G_ema.training


@pytest.mark.parametrize(
    ("turn", "kept"),
    [
        (6, [0, 2, 4, 6]),
        (8, [0, 2, 4, 6, 8]),  # as many as allowed
        (10, [0, 4, 8, 10]),
        (12, [0, 4, 8, 12]),
        (16, [0, 4, 8, 12, 16]),
        (31, [0, 8, 16, 24, 31]),
        (33, [0, 8, 16, 24, 32, 33]),
        (40, [0, 16, 32, 40]),
    ],
)
def test_so_many_pictures_are_kept_evenly_spread_over_the_run(tmp_path: Path, turn: int, kept: list[int]) -> None:
    run(tmp_path, TinyGan(turns=turn), turns=turn, every=2, keep=6)
    assert written_turns(tmp_path) == kept
    assert Image.open(tmp_path / "samples" / "samples.webp").n_frames == len(kept)


@pytest.mark.parametrize("keep", [2, 3, 7, 100])
def test_never_more_pictures_than_allowed_and_none_is_missed(tmp_path: Path, keep: int) -> None:
    every, seen = 3, list[int]()
    for turn in range(0, 3000, every):
        interval = interval_of_kept(turn, every, keep)
        seen = [t for t in seen if t % interval == 0]
        assert seen == list(range(0, turn, interval))  # none that is kept now has been deleted before
        seen.append(turn)
        assert len(seen) <= keep
        assert len(seen) >= min(turn // every + 1, keep // 2)


def test_a_resumed_run_keeps_the_same_pictures(tmp_path: Path) -> None:
    run(tmp_path / "unbroken", TinyGan(turns=50), turns=50, every=2, keep=6)
    run(tmp_path / "killed", TinyGan(turns=50), turns=37, every=2, keep=6)
    run(tmp_path / "killed", TinyGan(turn=20, turns=50), turns=50, every=2, keep=6)  # from its last checkpoint
    assert written_turns(tmp_path / "killed") == written_turns(tmp_path / "unbroken") == [0, 16, 32, 48, 50]


def test_a_larger_budget_with_another_interval_deletes_no_picture_below_the_bound(tmp_path: Path) -> None:
    run(tmp_path, TinyGan(turns=20), turns=20, every=4)
    run(tmp_path, TinyGan(turn=20, turns=40), turns=40, every=8)
    assert written_turns(tmp_path) == [0, 4, 8, 12, 16, 20, 24, 32, 40]


def test_loggers_get_the_pictures_that_are_kept_at_the_end(tmp_path: Path) -> None:
    recorder = run(tmp_path, TinyGan(turns=33), turns=33, every=2, keep=6)
    assert [turn for _, turn, _ in recorder.images] == written_turns(tmp_path) == [0, 8, 16, 24, 32, 33]


def test_a_picture_that_cannot_be_deleted_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".png":
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    run(tmp_path, TinyGan(turns=10), turns=10, every=2, keep=6)
    assert written_turns(tmp_path) == [0, 2, 4, 6, 8, 10]
    assert "000002.png cannot be written: Permission denied" in caplog.text
