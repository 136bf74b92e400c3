"""A generator on disk: saved and loaded it is the same; a damaged file or a foreign class is refused in one line."""

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save
from torch import nn

from compose_config import SMALL_WIDTHS, compose_config, list_choices
from gantry.config.instantiate import build
from gantry.nets.contract import count_latent_numbers
from gantry.nets.dcgan import Generator as ConvGenerator
from gantry.nets.mlp import Generator
from gantry.runs.generator import load_saved_generator, save_generator
from gantry.runs.generator_json import find_generator, hash_file, read_generator_info

MLP = {"shape": (1, 4, 4), "z_dim": 3, "num_classes": 2, "hidden": [5], "norm": "batch", "activation": "relu"}
CONFIG = {"_target_": "gantry.nets.mlp.Generator", **MLP}


def save_changed_generator(folder: Path, **changes: Any) -> Generator:
    """Save a generator whose statistics are not the initial ones, with `changes` of its JSON; return it."""
    G = Generator(**MLP)
    G(torch.randn(50, 3), torch.zeros(50, dtype=torch.int64))
    save_generator(G, CONFIG, folder, {"turn": 7})
    path = folder / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return G


def test_the_same_samples_in_evaluation_mode(tmp_path: Path) -> None:
    G = save_changed_generator(tmp_path)
    again = load_saved_generator(tmp_path)
    z, c = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    assert not again.training
    assert torch.equal(again(z, c), G.eval()(z, c))
    assert (again.shape, again.z_dim, again.num_classes) == ((1, 4, 4), 3, 2)


def test_the_fields_of_generator_json(tmp_path: Path) -> None:
    save_changed_generator(tmp_path)
    what = read_generator_info(tmp_path)
    assert (what.shape, what.z_dim, what.num_classes, what.extra) == ([1, 4, 4], 3, 2, {"turn": 7})
    assert what.config == CONFIG | {"shape": [1, 4, 4]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "model.safetensors"]


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save_changed_generator(tmp_path)
    state = torch.get_rng_state()
    load_saved_generator(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_saving_again_replaces(tmp_path: Path) -> None:
    save_changed_generator(tmp_path)
    G = save_changed_generator(tmp_path)
    again = load_saved_generator(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(G.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize("name", ["model.safetensors", "generator.json"])
def test_a_truncated_file_is_one_line(tmp_path: Path, name: str) -> None:
    save_changed_generator(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"^generator must have (the|a) whole .*, got [^\n]*$"):
        load_saved_generator(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "generator.json"])
def test_a_missing_file_is_one_line(tmp_path: Path, name: str) -> None:
    save_changed_generator(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"^generator must [^\n]*$"):
        load_saved_generator(tmp_path)


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (CONFIG | {"hidden": [6]}, r"generator must have the weights of gantry.nets.mlp.Generator"),
        (CONFIG | {"depth": 6}, r"generator must have the arguments of gantry.nets.mlp.Generator"),
        (CONFIG | {"_target_": "gantry.nets.mlp.Gone"}, r"generator\._target_ must be a part of gantry"),
        (CONFIG | {"_target_": "gantry.nets.gone.Generator"}, r"generator\._target_ must be a part of gantry"),
        ({"_target_": "gantry.nets.resolution.factor_side", "shape": [1, 8, 8]}, "generator must be a torch.nn.Module"),
        ({"_target_": "torch.nn.Identity"}, "model.G must have the attribute shape"),
        (CONFIG | {"hidden": [10**8, 10**8]}, "generator must have the weights of gantry.nets.mlp.Generator"),
        (CONFIG | {"z_dim": 10**13}, "generator must have the weights of gantry.nets.mlp.Generator"),
        (CONFIG | {"hidden": [-5]}, "generator must have the arguments of gantry.nets.mlp.Generator"),
        (CONFIG | {"hidden": "x"}, "generator must have the arguments of gantry.nets.mlp.Generator"),
    ],
)
def test_a_mismatch_is_one_line(tmp_path: Path, config: dict[str, Any], rule: str) -> None:
    save_changed_generator(tmp_path, config=config)
    with pytest.raises(ValueError, match=rf"^{rule}[^\n]*, got [^\n]*$"):
        load_saved_generator(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": 3},
        {"config": {"_target_": 3}},
        {"shape": "x"},
        {"shape": [1, -4, 4]},
        {"z_dim": "3"},
        {"num_classes": -1},
        {"extra": []},
        {"extra": {"turn": "x"}},
        {"extra": {"classes": 5}},
        {"sha256": 5},
    ],
)
def test_json_of_other_types_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    save_changed_generator(tmp_path, **changes)
    with pytest.raises(ValueError, match=r"^generator must have a whole generator\.json, got [^\n]*$"):
        load_saved_generator(tmp_path)


@pytest.mark.parametrize("change", ["dtype", "name", "more", "shape"])
def test_weights_of_another_net_are_one_line(tmp_path: Path, change: str) -> None:
    save_changed_generator(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.dim() > 1)
    tensor = weights[name] if change in ("dtype", "more") else weights.pop(name)
    weights |= {
        "dtype": {name: tensor.to(torch.int64)},
        "name": {"x": tensor},
        "more": {"x": tensor.clone()},
        "shape": {name: tensor.flatten().contiguous()},
    }[change]
    (tmp_path / "model.safetensors").write_bytes(save(weights))
    info = json.loads((tmp_path / "generator.json").read_text()) | {"sha256": hash_file(tmp_path / "model.safetensors")}
    (tmp_path / "generator.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"^generator must have the weights of gantry.nets.mlp.Generator, got [^\n]*$"):
        load_saved_generator(tmp_path)


def test_json_of_something_else_is_one_line(tmp_path: Path) -> None:
    save_changed_generator(tmp_path, more=1)
    with pytest.raises(ValueError, match=r"^generator must have a whole generator.json[^\n]*$"):
        load_saved_generator(tmp_path)


class Foreign(nn.Module):
    """A net of a user."""

    shape, z_dim, num_classes = (2,), 3, 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(3, 2))


class Tuned(Foreign):
    """A net whose activation is a node of its own in the configuration."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation


def test_other_classes_are_built_if_their_package_is_trusted(tmp_path: Path) -> None:
    save_generator(Foreign(), {"_target_": f"{__name__}.Foreign"}, tmp_path)
    with pytest.raises(ValueError, match=r"^generator\._target_ must be under gantry, torch or lightning, or in a tru"):
        load_saved_generator(tmp_path)
    assert isinstance(load_saved_generator(tmp_path, [__name__]), nn.Module)


def test_a_generator_with_nested_parts_is_built_as_in_training(tmp_path: Path) -> None:
    config = {"_target_": f"{__name__}.Tuned", "activation": {"_target_": "torch.nn.Tanh"}}
    save_generator(Tuned(nn.Tanh()), config, tmp_path)
    assert isinstance(cast(Any, load_saved_generator(tmp_path, [__name__])).activation, nn.Tanh)
    save_generator(Tuned(nn.Tanh()), config | {"activation": {"_target_": "os.getcwd"}}, tmp_path)
    with pytest.raises(ValueError, match=r"^generator\.activation\._target_ must be under .*, got os\.getcwd$"):
        load_saved_generator(tmp_path, [__name__])


def test_convolutions_and_integer_buffers(tmp_path: Path) -> None:
    arguments = {"shape": [3, 8, 8], "z_dim": 4, "width": 8, "max_width": 16}
    G = ConvGenerator(**arguments)
    G.to(memory_format=torch.channels_last)
    save_generator(G, {"_target_": "gantry.nets.dcgan.Generator", **arguments}, tmp_path)
    G.to(memory_format=torch.contiguous_format)
    z = torch.randn(3, 4)
    assert torch.equal(load_saved_generator(tmp_path)(z), G.eval()(z))


def test_the_generator_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^run must be the folder of a run, got .*gone"):
        find_generator(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"^run must be a folder with generator/best or generator/last"):
        find_generator(tmp_path)
    save_changed_generator(tmp_path / "generator" / "last")
    assert find_generator(tmp_path).name == "last"
    save_changed_generator(tmp_path / "generator" / "best")
    assert find_generator(tmp_path).name == "best"
    assert find_generator(tmp_path, "last").name == "last"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    G = save_changed_generator(tmp_path)
    with torch.no_grad():
        list(G.parameters())[-1][0] = value
    save_generator(G, CONFIG, tmp_path)
    name = [name for name, _ in G.named_parameters()][-1]
    with pytest.raises(ValueError, match=rf"^generator must have finite weights, got NaN or infinity in {name} of "):
        load_saved_generator(tmp_path)


@pytest.mark.parametrize("model", list_choices("model"))
def test_every_model_of_configs_is_saved_and_loaded(model: str, tmp_path: Path) -> None:
    """Those with spectral normalisation or noise, too, which the size of a stored generator is computed for."""
    cfg = compose_config(f"model={model}", "model.conditional=true", *SMALL_WIDTHS.get(model, []))
    G: Any = build(cfg.model.G)
    z, c = torch.randn(8, count_latent_numbers(G)), torch.arange(8)
    G(z, c)
    save_generator(G, OmegaConf.to_container(cfg.model.G, resolve=True), tmp_path)  # type: ignore[arg-type]
    assert torch.equal(load_saved_generator(tmp_path)(z, c), G.eval()(z, c))
