"""Generators that come back as they went, and files that do not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gantry.nets.dcgan import Generator as ConvGenerator
from gantry.nets.mlp import Generator
from gantry.runs.generator import load_generator, save_generator
from gantry.runs.generator_json import find_generator, read_generator_info

MLP = {"shape": (1, 4, 4), "z_dim": 3, "num_classes": 2, "hidden": [5], "norm": "batch", "activation": "relu"}
CONFIG = {"_target_": "gantry.nets.mlp.Generator", **MLP}


def saved(folder: Path, **changes: Any) -> Generator:
    """A generator whose statistics are not the initial ones, saved; `changes` are made to its JSON."""
    G = Generator(**MLP)
    G(torch.randn(50, 3), torch.zeros(50, dtype=torch.int64))
    save_generator(G, CONFIG, folder, {"turn": 7})
    path = folder / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return G


def test_the_same_samples_in_evaluation_mode(tmp_path: Path) -> None:
    G = saved(tmp_path)
    again = load_generator(tmp_path)
    z, c = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    assert not again.training
    assert torch.equal(again(z, c), G.eval()(z, c))
    assert (again.shape, again.z_dim, again.num_classes) == ((1, 4, 4), 3, 2)


def test_what_the_json_says(tmp_path: Path) -> None:
    saved(tmp_path)
    what = read_generator_info(tmp_path)
    assert (what.shape, what.z_dim, what.num_classes, what.extra) == ([1, 4, 4], 3, 2, {"turn": 7})
    assert what.config == CONFIG | {"shape": [1, 4, 4]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "model.safetensors"]


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    state = torch.get_rng_state()
    load_generator(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_saving_again_replaces(tmp_path: Path) -> None:
    saved(tmp_path)
    G = saved(tmp_path)
    again = load_generator(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(G.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize("name", ["model.safetensors", "generator.json"])
def test_a_truncated_file_is_one_line(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"^generator must have (the|a) whole .*, got [^\n]*$"):
        load_generator(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "generator.json"])
def test_a_missing_file_is_one_line(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"^generator must [^\n]*$"):
        load_generator(tmp_path)


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (CONFIG | {"hidden": [6]}, "the weights of gantry.nets.mlp.Generator"),
        (CONFIG | {"depth": 6}, "a net that can be built"),
        (CONFIG | {"_target_": "gantry.nets.mlp.Gone"}, "a net that can be built"),
        (CONFIG | {"_target_": "gantry.nets.gone.Generator"}, "a net that can be built"),
        (CONFIG | {"_target_": "gantry.nets.mlp.make_dense_layers"}, "a net that can be built"),
    ],
)
def test_a_mismatch_is_one_line(tmp_path: Path, config: dict[str, Any], rule: str) -> None:
    saved(tmp_path, config=config)
    with pytest.raises(ValueError, match=rf"^generator must (have|describe) {rule}[^\n]*$"):
        load_generator(tmp_path)


def test_json_of_something_else_is_one_line(tmp_path: Path) -> None:
    saved(tmp_path, more=1)
    with pytest.raises(ValueError, match=r"^generator must have a whole generator.json[^\n]*$"):
        load_generator(tmp_path)


class Foreign(nn.Module):
    """A net of the user's."""

    shape, z_dim, num_classes = (2,), 3, 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(3, 2))


def test_other_classes_are_built_for_those_who_trust_them(tmp_path: Path) -> None:
    save_generator(Foreign(), {"_target_": f"{__name__}.Foreign"}, tmp_path)
    with pytest.raises(ValueError, match=r"^generator\._target_ must be under gantry\.nets\. "):
        load_generator(tmp_path)
    assert isinstance(load_generator(tmp_path, trust=True), nn.Module)


def test_convolutions_and_integer_buffers(tmp_path: Path) -> None:
    arguments = {"shape": [3, 8, 8], "z_dim": 4, "width": 8, "max_width": 16}
    G = ConvGenerator(**arguments)
    G.to(memory_format=torch.channels_last)
    save_generator(G, {"_target_": "gantry.nets.dcgan.Generator", **arguments}, tmp_path)
    G.to(memory_format=torch.contiguous_format)
    z = torch.randn(3, 4)
    assert torch.equal(load_generator(tmp_path)(z), G.eval()(z))


def test_the_generator_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^run must be the folder of a run, got .*gone"):
        find_generator(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"^run must be a folder with generator/best or generator/last"):
        find_generator(tmp_path)
    saved(tmp_path / "generator" / "last")
    assert find_generator(tmp_path).name == "last"
    saved(tmp_path / "generator" / "best")
    assert find_generator(tmp_path).name == "best"
    assert find_generator(tmp_path, "last").name == "last"
