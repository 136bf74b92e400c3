from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compose_config import compose_config
from gantry.config.instantiate import build
from gantry.evaluation.evaluation import Evaluation
from gantry.features.custom import CustomExtractor
from gantry.metrics.frechet import frechet_distance
from gantry.metrics.statistics import Statistics
from photographs import photographs
from toy_extractor import ToyExtractor, make_reference, random_images, score_images

CPU = torch.device("cpu")
FRAME = {"size": (3, 8, 8), "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.5)}


class Means(nn.Module):
    """x [N, 3, 8, 8] -> [N, 3 * scale] in float64: means over positions, with dropout and BatchNorm."""

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(scale).double())
        self.rest = nn.Sequential(nn.BatchNorm1d(3 * scale), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest((x.mean((2, 3))[:, None] * self.weight[:, None]).flatten(1))


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the channels\ndo not fit")


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Counts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).long()


def own(net: nn.Module, **changes: object) -> CustomExtractor:
    return CustomExtractor(net, **({"name": "own", **FRAME} | changes))  # type: ignore[arg-type]


def test_it_is_the_network_of_standardised_images_frozen_and_in_evaluation_mode() -> None:
    x = photographs(3, seed=0)[:, :, :8, :8]
    extractor = own(Means(scale=2))
    features, probabilities = extractor(x)
    mean, std = torch.tensor(FRAME["mean"]), torch.tensor(FRAME["std"])
    expected = ((x / 255).mean((2, 3)) - mean) / std / (1 + 1e-5) ** 0.5  # a BatchNorm that saw nothing
    torch.testing.assert_close(features, expected.repeat(1, 2), rtol=1e-5, atol=1e-5)
    assert features.dtype == torch.float32
    assert probabilities is None
    assert (extractor.dim, extractor.num_classes) == (6, 0)
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert not any(module.training for module in extractor.modules())
    assert torch.equal(extractor(x).features, features)


def test_grey_images_of_another_size_are_prepared() -> None:
    grey = torch.full((2, 1, 5, 9), 51, dtype=torch.uint8)
    features = own(Means(), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))(grey).features
    torch.testing.assert_close(features, torch.full((2, 3), 0.2), rtol=1e-4, atol=0)
    resizer = own(Means()).resizer
    assert resizer == "bilinear, antialiased, to 3x8x8; minus [0.5, 0.4, 0.3], divided by [0.1, 0.2, 0.5]"


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_are_read_from_a_file_and_give_the_digest(tmp_path: Path, suffix: str) -> None:
    trained = Means()
    nn.init.constant_(trained.weight, 3)
    path = tmp_path / f"net.{suffix}"
    if suffix == "pt":
        torch.save(trained.state_dict(), path)
    else:
        save_file(trained.state_dict(), path)
    extractor = own(Means(), weights=str(path))
    x = photographs(2, seed=0)
    torch.testing.assert_close(extractor(x).features, 3 * own(Means())(x).features)
    assert extractor.digest == own(trained).digest
    assert extractor.digest != own(Means()).digest
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=rf"metrics\.weights must be those of Means, got .*net\.{suffix}: "):
        own(Means(), weights=str(path))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(Means(scale=2).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"metrics\.weights must be those of Means, got .*size mismatch") as error:
        own(Means(), weights=str(tmp_path / "net.pt"))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"metrics\.weights must be null or a file, got .*none\.pt"):
        own(Means(), weights=str(tmp_path / "none.pt"))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Raises(), r"net must take float \[N, 3, 8, 8\] .*, got RuntimeError: the channels do not fit$"),
        (Pair(), r"and give features float \[N, F\], got a tuple$"),
        (nn.Identity(), r"got torch\.float32 \[2, 3, 8, 8\] for N = 2$"),
        (Counts(), r"got torch\.int64 \[2, 192\] for N = 2$"),
        (nn.Flatten(0), r"got torch\.float32 \[384\] for N = 2$"),
        (print, r"net must be a torch\.nn\.Module, got <built-in function print>$"),
    ],
)
def test_other_objects_are_refused_in_one_line(net: nn.Module, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^metrics\.extractor\.net .*{reason.removeprefix('net ')}"):
        own(net)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "inception"}, "name must be a word of your own, got inception"),
        ({"name": "a b"}, "name must be a word of your own, got a b"),
        ({"size": (0, 8, 8)}, r"size must be \[channels, H, W\], got \[0, 8, 8\]"),
        ({"size": (8, 8)}, r"size must be \[channels, H, W\], got \[8, 8\]"),
        ({"mean": (0.5,)}, r"mean must have 3 numbers, as size says, got \[0\.5\]"),
        ({"std": (0.5, 0.0, 1.0)}, r"std must be positive, got"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"metrics\.extractor\.{reason}"):
        own(Means(), **changes)


def scored(*overrides: str) -> tuple[Evaluation, dict[str, float]]:
    """The scores of noise against noise by a configuration."""
    evaluation = build(
        compose_config("metrics.num_samples=30", "metrics.report=null", "metrics.cache=null", *overrides).metrics
    )
    reference = make_reference(random_images(40, seed=0))
    evaluation.check_requirements(reference)
    return evaluation, score_images(evaluation, random_images(30, seed=1), evaluation.extract_real(reference, CPU))


def test_the_configuration_names_a_network() -> None:
    frame = ["size=[3,4,4]", "mean=[0,0,0]", "std=[1,1,1]", "name=mine"]
    settings = [f"metrics.extractor.{value}" for value in frame]
    evaluation, scores = scored("metrics=own", "metrics.extractor.net._target_=torch.nn.Flatten", *settings)
    real, fake = Statistics(48), Statistics(48)
    real.update(random_images(40, seed=0).flatten(1) / 255)
    fake.update(random_images(30, seed=1).flatten(1) / 255)
    assert scores == {"fd_mine": pytest.approx(frechet_distance(real, fake), rel=1e-6)}
    assert evaluation.feature_extractor.dim == 48


def test_an_extractor_of_bytes_needs_no_wrapper() -> None:
    target = ["metrics=dinov2", "metrics.extractor._target_=toy_extractor.ToyExtractor", "~metrics.extractor.size"]
    evaluation, scores = scored(*target, "metrics.monitor=fd_toy")
    assert isinstance(evaluation.feature_extractor, ToyExtractor)
    assert scores.keys() == {"fd_toy"}
    assert scores["fd_toy"] > 0
