"""The kind of a value is known from annotations, and each key of each configuration has one."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from compose_config import compose_config, list_choices
from config_fuzz import list_keys
from gantry.config.key_rules import find_key_rule, list_key_rules
from gantry.config.kinds import find_argument_rule, find_partial_rule
from gantry.config.rules import PART_RULE, is_argument
from gantry.config.signatures import read_arguments
from gantry.config.validate import has_user_target


def read_argument(target: str, name: str):  # type: ignore[no-untyped-def]
    arguments = read_arguments(target)
    assert arguments is not None
    return arguments[name]


@pytest.mark.parametrize(
    ("target", "name", "is_partial"),
    [
        ("gantry.losses.objective.Objective", "d", None),  # an alias of a function of tensors
        ("gantry.training.optim.Optim", "schedule", None),  # an alias in another module
        ("gantry.training.optim.Optim", "G", True),  # makes an optimiser
        ("gantry.evaluation.evaluation.Evaluation", "extractor", True),
        ("gantry.evaluation.evaluation.Evaluation", "report", False),
        ("gantry.data.datamodule.DataModule", "source", False),  # a protocol of another module
        ("gantry.features.custom.CustomExtractor", "net", False),
    ],
)
def test_aliases_and_classes_are_parts(target: str, name: str, is_partial: bool | None) -> None:
    argument = read_argument(target, name)
    rule = find_argument_rule(argument)
    assert rule is not None
    assert PART_RULE[0] in rule[0]
    assert rule[1]({"_target_": "a.b"})
    assert not rule[1](5)
    assert find_partial_rule(argument) is is_partial


def test_a_number_that_may_be_a_tensor_is_a_number() -> None:
    rule = find_argument_rule(read_argument("torch.optim.Adam", "lr"))
    assert rule is not None
    assert rule[0] == "a number"


@pytest.mark.parametrize(
    ("target", "required"),
    [
        ("gantry.losses.objective.Objective", {"d", "g"}),
        ("gantry.training.ema.Ema", {"half_life"}),
        ("gantry.callbacks.samples.SampleWriter", {"folder", "every"}),
        ("gantry.data.digits.Digits", set()),
    ],
)
def test_arguments_without_a_default_are_required(target: str, required: set[str]) -> None:
    arguments = read_arguments(target)
    assert arguments is not None
    assert {name for name, argument in arguments.items() if argument.is_required} == required


def test_fields_of_a_dataclass_are_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n@dataclass\nclass B(A):\n    y: int = 0\n"
    )
    (tmp_path / "inherited_fields.py").write_text(source + "class C(B):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(read_arguments("inherited_fields.B") or {}) == ["x", "y"]
    assert list(read_arguments("inherited_fields.C") or {}) == ["x", "y"]


LOOSE_KEYS = ("run.name", "run.dir", "run.overrides")  # checked where the folder of a run is


def find_kind(cfg: DictConfig, key: str) -> bool:
    """Return True for a key whose kind is known: by its rule, or by the signature of the part that it is in."""
    above, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, above) if above else cfg
    arguments = read_arguments(str(node["_target_"])) if "_target_" in node else None
    by_signature = arguments is not None and name in arguments and find_argument_rule(arguments[name]) is not None
    return by_signature or find_key_rule(list_key_rules(list(map(str, cfg))), key) is not None


CHOICES = [f"{group}={name}" for group in ("model", "loss", "optim", "augment") for name in list_choices(group)]
CHOICES += [f"experiment={name}" for name in list_choices("experiment")]
CHOICES += [f"metrics={name}" for name in ("none", "small", "inception", "dinov2")] + ["data=mnist", "data=digits"]


@pytest.mark.parametrize(
    ("config_name", "choice"), [("train", c) for c in CHOICES] + [("evaluate", ""), ("sample", "")]
)
def test_the_kind_of_each_leaf_is_known(config_name: str, choice: str) -> None:
    model = ["data.shape=[1,8,8]"] if choice.startswith("model") else []
    cfg = compose_config(*filter(None, [choice]), *model, config_name=config_name)
    leaves = [key for key in list_keys(cfg) if is_argument(key) and not OmegaConf.is_config(OmegaConf.select(cfg, key))]
    unknown = [key for key in leaves if key not in LOOSE_KEYS and not find_kind(cfg, key)]
    assert [key for key in unknown if not has_user_target(OmegaConf.select(cfg, key.rpartition(".")[0]))] == []
