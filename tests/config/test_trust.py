"""Which parts a run folder may name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gantry.config.trust import check_targets, is_known_part, iterate_targets, list_parts, read_trusted_packages

CONFIGS = Path(__file__).parents[2] / "configs"


def list_configured_targets() -> set[str]:
    """The parts that the files of configs/ name, but for those that set up Hydra and a search."""
    files = [path for path in CONFIGS.rglob("*.yaml") if not {"hydra", "hparams_search"} & set(path.parts)]
    named = (pair for path in files for pair in iterate_targets(yaml.safe_load(path.read_text()), "model"))
    return {target for key, target in named if target != "???" and ".hydra." not in key}


@pytest.mark.parametrize("target", sorted(list_configured_targets()))
def test_every_part_of_a_configuration_may_be_named(target: str) -> None:
    assert is_known_part(target)


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.hub.load",
        "torch.nn.init.normal_",
        "torch.nn.modules.module.warnings",
        "torch.serialization.load",
        "lightning.pytorch.cli.LightningCLI",
        "lightning.fabric.utilities.cloud_io._load",
        "gantry.files.write_text",
        "gantry.files.os.system",
        "gantry.nets.dcgan.torch.load",
        "gantry.nets.dcgan.nn",
        "gantry.nets.mlp.Gone",
        "gantry.nets.gone.Generator",
        "gantry.nets",
        "gantry",
        "gantry.evaluation.cache.write_cached_tensors",
        "gantry.features.published_weights.read_weights",
        "gantry.features.published_weights.PublishedWeights",
        "gantry.loggers.wandb_logger.init_wandb_run",
        "gantry.callbacks.lightning_log.redirect_log",
        "gantry.nets.mlp.Generator.forward",
        "gantry.nets.mlp.Generator.__init__.__globals__.get",
        "lightning.pytorch.callbacks.ModelCheckpoint",
        "lightning.pytorch.callbacks.LambdaCallback",
        "lightning.pytorch.loggers.CSVLogger",
        "lightning.pytorch.strategies.DeepSpeedStrategy",
        "lightning.LightningModule",
        "torch.utils.cpp_extension.load",
        "torch.nn.modules.linear.Linear",
        "torch.optim.swa_utils.AveragedModel",
        "gantry.commands.entry.export_python_path",
        "gantry.nets.../../../evil.Generator",
        "${oc.env:HOME}",
        "",
        None,
        ["os.system"],
    ],
)
def test_other_names_in_known_packages_are_refused(target: Any) -> None:
    with pytest.raises(ValueError, match=r"^model\.G\._target_ must be (a part of gantry|under gantry)[^\n]*, got "):
        check_targets({"G": {"_target_": target}}, "model", ["torchvision"])


def test_a_package_of_the_user_is_refused_until_it_is_trusted() -> None:
    values = {"source": {"_target_": "fake_points_run.ConstantGenerator"}}
    with pytest.raises(ValueError, match="must be") as caught:
        check_targets(values, "data", [])
    assert str(caught.value) == (
        "data.source._target_ must be under gantry, torch or lightning, or in a trusted package "
        "(trust=[fake_points_run] or GANTRY_TRUST=fake_points_run), got fake_points_run.ConstantGenerator"
    )
    check_targets(values, "data", ["fake_points_run"])
    check_targets(values, "data", ["fake_points_run.ConstantGenerator"])
    with pytest.raises(ValueError, match="must be under"):
        check_targets(values, "data", ["stub"])


def test_libraries_are_trusted_in_parts_too() -> None:
    target = "lightning.pytorch.callbacks.ModelCheckpoint"
    check_targets({"_target_": target}, "callbacks.x", ["lightning.pytorch.callbacks"])
    with pytest.raises(ValueError, match="must be a part of gantry"):
        check_targets({"_target_": "lightning.pytorch.loggers.CSVLogger"}, "x", ["lightning.pytorch.callbacks"])
    with pytest.raises(ValueError, match="must be a part of gantry"):
        check_targets({"_target_": "gantry.files.write_text"}, "x", ["gantry"])


REEXPORTS = ("SimpleNamespace", "torch.load", "torch.ops.aten.relu", "InMemoryImages.__init__.__globals__.get")


def test_what_a_trusted_package_only_imports_is_refused() -> None:
    for target in (f"fake_points_run.{name}" for name in REEXPORTS):
        with pytest.raises(ValueError, match=rf"^data\._target_ must be defined in a trusted package, got {target},"):
            check_targets({"_target_": target}, "data", ["fake_points_run"])
    check_targets(
        {"_target_": "fake_points_run.InMemoryImages"}, "data", ["fake_points_run"]
    )  # imported from gantry.data


def test_targets_are_found_at_any_depth() -> None:
    nested = {
        "a": [{"b": {"_target_": "x.Y", "c": [{"_target_": "z.W"}]}}],
        "_target_": "torch.nn.ReLU",
        "sides": "f.g",
    }
    assert dict(iterate_targets(nested, "data")) == {"data._target_": "torch.nn.ReLU", "data.a.0.b._target_": "x.Y"} | {
        "data.a.0.b.c.0._target_": "z.W"
    }
    assert ("model.sides", "f.g") in iterate_targets(nested, "model")


def test_trust_is_a_name_or_names_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_trusted_packages(None) == read_trusted_packages([]) == ()
    assert read_trusted_packages("mine") == ("mine",)
    monkeypatch.setenv("GANTRY_TRUST", "theirs, ours.nets,")
    assert read_trusted_packages(["mine"]) == ("mine", "theirs", "ours.nets")
    for wrong in (3, "", "my models", ["../evil"], [None], {"a": 1}):
        with pytest.raises(ValueError, match=r"^trust must be names of packages, as in trust=\[my_models\], got "):
            read_trusted_packages(wrong)


def test_parts_are_listed_without_an_import() -> None:
    assert {"Generator", "Discriminator"} <= list_parts("gantry.nets.dcgan")
    assert "_find_source" not in list_parts("gantry.config.signatures")
    assert list_parts("os") == frozenset()
