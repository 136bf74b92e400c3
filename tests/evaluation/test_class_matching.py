"""Scores per class compare classes of the same name, whatever their order in the two collections."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.toy_extractor import ToyExtractor

from gantry.data.datamodule import DataModule
from gantry.data.images import DataSource, InMemoryImages, RealData
from gantry.errors import UserError
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import SampleSource
from gantry.evaluation.protocol import SampleFacts
from gantry.evaluation.reference import Reference, build_reference
from gantry.evaluation.run import score_samples
from gantry.evaluation.sample_files import open_samples
from gantry.metrics.frechet_per_class import FrechetPerClass

CPU = torch.device("cpu")
NAMES = ("zero", "one", "two")  # not in the order of the alphabet
LEVELS = (10, 120, 230)  # of the three classes
COUNT = 60


def make_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of three grey levels with noise, and their classes in turn."""
    c = torch.arange(COUNT) % 3
    noise = torch.randint(0, 10, (COUNT, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    return (noise + torch.tensor(LEVELS)[c].view(-1, 1, 1, 1)).to(torch.uint8), c


class Levels(DataSource):
    def load(self) -> RealData:
        images = InMemoryImages(*make_images())
        return RealData("levels", images, images, tuple(f"{i} - {name}" for i, name in enumerate(NAMES)))


def make_data() -> DataModule:
    return DataModule(Levels(), "levels", (3, 4, 4), 3, None, 4, False, batches_per_turn=1, seed=0)


def write_folders(root: Path, name: Callable[[int], str], skip: int | None = None) -> Path:
    x, c = make_images()
    for i, (pixels, k) in enumerate(zip(x, c.tolist())):
        if k != skip:
            path = root / name(k) / f"{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    return root


def score(samples: Path, reference: Reference) -> dict[str, float]:
    files = open_samples(samples, 3)
    evaluation = Evaluation(
        {"per_class": FrechetPerClass(3)}, files.count, "fd_toy_class_mean", "min", extractor=ToyExtractor
    )
    evaluation.check_requirements(reference)
    facts = SampleFacts(files.shape, "files", conversions=files.conversions)
    source = SampleSource(files.images, files.labels, facts, files.class_names, files.unlabelled)
    entry = score_samples(source, evaluation, reference, evaluation.extract_real(reference, CPU), CPU)
    return entry.scores


@pytest.mark.parametrize("name", [lambda k: NAMES[k], lambda k: str(k), lambda k: f"00{k}"])
def test_folders_called_by_names_or_numbers_are_the_classes_of_the_data(
    name: Callable[[int], str], tmp_path: Path
) -> None:
    scores = score(write_folders(tmp_path, name), build_reference(make_data(), "train"))
    assert scores["fd_toy_class_worst"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", [lambda k: NAMES[k], lambda k: str(k + 1), lambda k: "cde"[k]])
def test_two_folders_are_matched_by_their_names(name: Callable[[int], str], tmp_path: Path) -> None:
    write_folders(tmp_path / "samples", name)
    reference = build_reference(make_data(), str(write_folders(tmp_path / "real", name)))
    assert reference.class_names == tuple(sorted(map(name, range(3))))
    assert score(tmp_path / "samples", reference)["fd_toy_class_worst"] == pytest.approx(0, abs=1e-6)


def test_generated_classes_are_matched_with_a_folder_by_the_names_of_the_data(tmp_path: Path) -> None:
    reference = build_reference(make_data(), str(write_folders(tmp_path, lambda k: NAMES[k])))
    x, c = make_images()
    evaluation = Evaluation(
        {"per_class": FrechetPerClass(3)}, COUNT, "fd_toy_class_mean", "min", extractor=ToyExtractor
    )
    facts = SampleFacts((3, 4, 4), "last", "G_ema")
    source = SampleSource(lambda start, stop: x[start:stop], c, facts, make_data().classes)
    entry = score_samples(source, evaluation, reference, evaluation.extract_real(reference, CPU), CPU)
    assert entry.scores["fd_toy_class_worst"] == pytest.approx(0, abs=1e-6)


def test_a_class_that_is_missing_is_named_and_shifts_no_other(tmp_path: Path) -> None:
    samples = write_folders(tmp_path, lambda k: NAMES[k], skip=0)
    with pytest.raises(UserError, match=r"at least 2 samples of each class, got 0 of 0"):
        score(samples, build_reference(make_data(), "train"))


@pytest.mark.parametrize("name", [lambda k: ("nil", "one", "two")[k], lambda k: str(k + 1)])
def test_classes_that_do_not_match_are_refused_with_both_lists(name: Callable[[int], str], tmp_path: Path) -> None:
    got = ", ".join(sorted(map(name, range(3))))
    rule = r"^samples must be of the classes of levels for scores per class, 0 - zero, 1 - one, 2 - two, got "
    with pytest.raises(UserError, match=f"{rule}{got}$"):
        score(write_folders(tmp_path, name), build_reference(make_data(), "train"))


@pytest.mark.parametrize(
    ("c", "reason"),
    [
        (np.arange(COUNT) % 3 + 1, "^samples must be of the classes of levels .*, got 1, 2, 3$"),
        (np.arange(COUNT) % 3 - 1, "^samples must be of the classes of levels .*, got -1, 0, 1$"),
        (np.arange(COUNT) / 2, r"^metrics must be without scores per class .*, got arr_1 float64 \[60\] with numbers"),
    ],
)
def test_labels_that_are_no_classes_are_one_line_in_samples(c: np.ndarray, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", make_images()[0].permute(0, 2, 3, 1).numpy(), c)
    with pytest.raises(UserError, match=reason):
        score(tmp_path / "x.npz", build_reference(make_data(), "train"))


@pytest.mark.parametrize(
    ("c", "reason"),
    [
        (
            np.arange(COUNT) % 4 + 1,
            r"images without classes, got x\.npz \(4 classes \(1, 2, 3, 4\), where data\.num_cla",
        ),
        (
            np.arange(COUNT) / 2,
            r"images without classes, got x\.npz \(arr_1 float64 \[60\] with numbers that are not whole",
        ),
        (np.arange(COUNT) % 2, r"where a class has fewer than 2 images, got 0 of class 2 of x\.npz"),
        (np.arange(COUNT) % 3 - 1, None),
    ],
)
def test_labels_that_are_no_classes_are_one_line_in_a_reference(
    c: np.ndarray, reason: str | None, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", make_images()[0].permute(0, 2, 3, 1).numpy(), c)
    reference = build_reference(make_data(), str(tmp_path / "x.npz"))
    if reason is None:  # three numbers, equal on both sides
        assert score(tmp_path / "x.npz", reference)["fd_toy_class_worst"] == pytest.approx(0, abs=1e-6)
        return
    with pytest.raises(UserError, match=rf"^metrics\.scores\.per_class must be left out .*{reason}"):
        score(tmp_path / "x.npz", reference)


def test_conversions_stand_in_the_protocol(tmp_path: Path) -> None:
    x = make_images()[0][:, 0].numpy()
    for i, pixels in enumerate(x):
        Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / f"{i:03d}.png")
    reference = build_reference(make_data(), str(tmp_path))
    evaluation = Evaluation({}, 4, None, "min", extractor=ToyExtractor)
    facts = SampleFacts((3, 4, 4), "files", conversions="colour to grey")
    protocol = evaluation.build_protocol(reference, facts)
    assert (protocol.samples_converted, protocol.real_converted) == ("colour to grey", "16 bits to 8, grey to colour")
    assert np.array_equal(reference.images(0, COUNT)[:, 1].numpy(), x)
