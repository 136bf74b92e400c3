"""configs/data: each file builds what it says."""

from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from gantry.data.module import DataModule

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
EMBEDDED = ["digits", "ring", "grid", "stacked_digits"]


def config(name: str) -> DictConfig:
    node = OmegaConf.load(CONFIGS / "data" / f"{name}.yaml")
    return OmegaConf.create({"data": node}).data  # ${data.shape} needs its place in the tree


def build(node: DictConfig) -> DataModule:
    return hydra.utils.instantiate(node, batches_per_turn=2, seed=0, _convert_="all")


def test_every_data_set_of_the_list_has_a_file() -> None:
    assert set(NAMES) == {
        *("digits", "mnist", "fashion_mnist", "cifar10", "cifar100"),
        *("ring", "grid", "stacked_digits", "stacked_mnist", "folder"),
    }


@pytest.mark.parametrize("name", sorted({*NAMES} - {"folder"}))
def test_every_file_builds_without_touching_the_data(name: str) -> None:
    node = config(name)
    data = build(node)
    assert (data.name, data.shape, data.num_classes) == (name, tuple(node.shape), node.num_classes)
    assert data.flip == (name in ("cifar10", "cifar100"))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_what_their_files_say(name: str) -> None:
    node = config(name)
    if "train" in node.source:
        node.source.update(train=100, test=10)
    data = build(node)
    data.setup("fit")
    assert (data.data.name, len(data.classes)) == (name, node.num_classes)


def test_the_folder_of_downloads_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATA_DIR", "/somewhere")
    assert config("mnist").source.root == "/somewhere"
    monkeypatch.delenv("GANTRY_DATA_DIR")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(build(config("mnist")).source.folder) == "/home/me/.cache/gantry"  # type: ignore[attr-defined]


def test_the_folder_s_images_take_the_shape_of_the_configuration(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(60):
        Image.new("L", (20, 30), i).save(tmp_path / f"{i}.png")
    node = config("folder")
    node.shape = [1, 16, 24]
    node.source.root = str(tmp_path)
    data = build(node)
    data.setup("fit")
    assert data.data.shape == (1, 16, 24)
