"""Every file of configs/data builds the data set that it describes."""

from pathlib import Path

import pytest
from omegaconf import DictConfig
from PIL import Image

from compose_config import compose_config, list_choices
from gantry.config.instantiate import build
from gantry.data.datamodule import DataModule

EMBEDDED = ["digits", "ring", "grid", "stacked_digits"]


def compose_data_config(name: str, *overrides: str) -> DictConfig:
    return compose_config(f"data={name}", "model=mlp", *overrides).data


def build_datamodule(node: DictConfig) -> DataModule:
    data: DataModule = build(node, batches_per_turn=2, seed=0)
    return data


def test_every_documented_data_set_has_a_config() -> None:
    images = ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "stacked_digits", "stacked_mnist"]
    assert list_choices("data") == sorted([*images, "ring", "grid", "folder"])


@pytest.mark.parametrize("name", [name for name in list_choices("data") if name != "folder"])
def test_every_config_builds_without_reading_the_data(name: str) -> None:
    node = compose_data_config(name)
    data = build_datamodule(node)
    assert (data.name, data.shape, data.num_classes) == (name, tuple(node.shape), node.num_classes)
    assert data.flip == (name in ("cifar10", "cifar100"))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_sets_match_their_configs(name: str) -> None:
    node = compose_data_config(name)
    if "train" in node.source:
        node.source.update(train=100, test=10)
    data = build_datamodule(node)
    data.setup("fit")
    assert (data.data.name, len(data.classes)) == (name, node.num_classes)


def test_download_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATA_DIR", "/somewhere")
    assert compose_data_config("mnist").source.root == "/somewhere"
    monkeypatch.delenv("GANTRY_DATA_DIR")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(build_datamodule(compose_data_config("mnist")).source.folder) == "/home/me/.cache/gantry"  # type: ignore[attr-defined]


def test_folder_images_have_the_configured_shape(tmp_path: Path) -> None:
    for i in range(60):
        Image.new("L", (20, 30), i).save(tmp_path / f"{i}.png")
    data = build_datamodule(compose_data_config("folder", f"data.source.root={tmp_path}", "data.shape=[1,16,24]"))
    data.setup("fit")
    assert data.data.shape == (1, 16, 24)


def test_folder_needs_a_root() -> None:
    with pytest.raises(ValueError, match=r"^data\.source\.root must be given, got nothing$"):
        compose_data_config("folder")
