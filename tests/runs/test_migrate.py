"""Configurations of older versions in the keys of this one."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from gantry.config.trust import iterate_targets
from gantry.runs.folder import read_config, write_config
from gantry.runs.layout import CONFIG_FILE
from gantry.runs.migrate import CONFIG_VERSION, RENAMED_TARGETS, VERSION_KEY, migrate_config

OLD_RUN = Path(__file__).parent / "old_run"


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """The configuration of a run of version 1, as it is in its file."""
    config: dict[str, Any] = yaml.safe_load((OLD_RUN / CONFIG_FILE).read_text())
    return config


@pytest.mark.parametrize("target", sorted(set(RENAMED_TARGETS.values())))
def test_every_new_name_exists(target: str) -> None:
    module, _, name = target.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_every_part_of_an_old_run_exists_under_its_new_name(stored: dict[str, Any]) -> None:
    targets = dict(iterate_targets(migrate_config(stored), "model"))
    assert len(targets) > 30
    for target in targets.values():
        module, _, name = target.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), target


def test_switches_of_speed_are_those_of_the_hardware(stored: dict[str, Any]) -> None:
    config = migrate_config(stored)
    assert config["hardware"] == {
        "sync_batchnorm": True,
        "channels_last": False,
        "tf32": True,
        "compile": False,
        "capture": False,
    }
    assert not config["hardware"].keys() & config["trainer"].keys()
    assert config["trainer"]["max_steps"] == 20


def test_the_learning_rate_includes_the_scale_of_the_model(stored: dict[str, Any]) -> None:
    assert (stored["recipe"]["lr"], stored["model"]["lr_scale"]) == (2e-4, 2)
    config = migrate_config(stored)
    assert config["recipe"]["lr"] == config["optim"]["G"]["lr"] == config["optim"]["D"]["lr"] == 4e-4
    assert "lr_scale" not in config["model"]


def test_a_function_that_is_a_class_today_is_called_once() -> None:
    old = {"augment": {"_target_": "gantry.augment.none.identity", "_partial_": True}}
    assert migrate_config(old)["augment"] == {"_target_": "torch.nn.Identity"}


def test_overrides_give_the_same_configuration_today(stored: dict[str, Any]) -> None:
    overrides = migrate_config(stored)["run"]["overrides"]
    assert {"hardware.tf32=true", "hardware.channels_last=false", "recipe.lr=0.0004"} <= set(overrides)
    assert [word for word in overrides if word.startswith("trainer.")] == []
    assert "+loss.d_terms.r1=0.5" in overrides


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+trainer.capture=true", ["+hardware.capture=true", "recipe.lr=0.5"]),
        ("trainer.devices=2", ["trainer.devices=2", "recipe.lr=0.5"]),
        ("+model.lr_scale=3", ["recipe.lr=0.5"]),
        ("recipe.lr=0.25", ["recipe.lr=0.5"]),
        ("~callbacks.samples", ["~callbacks.samples", "recipe.lr=0.5"]),
        (
            "trainer.strategy={_target_:gantry.training.parallel.Replicas,process_group_backend:gloo}",
            [
                "trainer.strategy={_target_:gantry.distributed.strategy.ManualDDPStrategy,process_group_backend:gloo}",
                "recipe.lr=0.5",
            ],
        ),
        (
            "data.source._target_=gantry.data.toys.ring",
            ["data.source._target_=gantry.data.toys.make_ring", "recipe.lr=0.5"],
        ),
    ],
)
def test_an_override_is_translated(old: str, new: list[str]) -> None:
    config = {"recipe": {"lr": 0.25}, "model": {"lr_scale": 2}, "run": {"overrides": [old]}}
    assert migrate_config(config)["run"]["overrides"] == new


def test_a_configuration_of_this_version_stays_as_it_is(tmp_path: Path) -> None:
    cfg = OmegaConf.create({"recipe": {"lr": 1.0}, "model": {"lr_scale": 2}, "run": {"overrides": ["trainer.tf32=1"]}})
    write_config(cfg, tmp_path)
    assert (tmp_path / CONFIG_FILE).read_text().startswith(f"{VERSION_KEY}: {CONFIG_VERSION}\n")
    assert read_config(tmp_path) == cfg


@pytest.mark.parametrize("version", [CONFIG_VERSION + 1, 0, "2", None])
def test_a_newer_version_is_refused_in_one_line(version: Any, tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(yaml.safe_dump({VERSION_KEY: version}))
    with pytest.raises(ValueError, match=rf"^config_version must be at most {CONFIG_VERSION}, [^\n]*, got {version}$"):
        read_config(tmp_path)


@pytest.mark.parametrize("text", ["", "3", "[a]", "a: [", "\tb"])
def test_a_file_that_is_no_configuration_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"^config\.yaml must (be YAML|hold a configuration), got [^\n]*$"):
        read_config(tmp_path)


@pytest.mark.parametrize("version", [{}, {"config_version": 2}])
def test_a_run_of_resnet_keeps_the_width_of_its_generator(version: dict[str, int]) -> None:
    model, overrides = {"G": {"width": 256}}, ["model=resnet", "turns=5"]
    migrated = migrate_config({"model": model, "run": {"overrides": overrides}, **version})
    assert migrated["run"]["overrides"] == [*overrides, "model.G.width=256"]
    for words in (["model=sngan"], ["model=resnet", "model.G.width=64"]):
        assert migrate_config({"model": model, "run": {"overrides": words}, **version})["run"]["overrides"] == words
