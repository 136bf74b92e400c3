"""The groups of configs/: what each choice brings, and where each value is written."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from compose_config import compose_config, list_choices
from gantry.config.compose import CONFIG_DIR


@pytest.mark.parametrize("model", list_choices("model"))
def test_the_rate_in_the_recipe_is_the_rate_that_trains(model: str) -> None:
    for loss, lr in (("nonsaturating", 4e-4), ("wgan_gp", 1e-4)):
        cfg = compose_config(f"model={model}", f"loss={loss}")
        assert (cfg.recipe.lr, cfg.optim.G.lr, cfg.optim.D.lr) == (lr, lr, lr)
    assert compose_config(f"model={model}", "recipe.lr=2e-4").optim.G.lr == 2e-4


RATES: dict[str, tuple[float, float]] = {  # of G and D
    **dict.fromkeys(list_choices("experiment"), (2e-4, 2e-4)),
    "ring": (2e-3, 2e-3),
    **dict.fromkeys(("cifar10_stylegan2", "cifar10_stylegan2_ada"), (0.0025 * 4 / 5, 0.0025 * 16 / 17)),
}


def read_rates(experiment: str) -> tuple[float, float]:
    """The rates that the file of an experiment says, or that of the experiment it begins with."""
    config: Any = OmegaConf.load(CONFIG_DIR / "experiment" / f"{experiment}.yaml")
    rates = [OmegaConf.select(config, key) for key in ("optim.G.lr", "optim.D.lr")]
    lr = OmegaConf.select(config, "recipe.lr")
    return read_rates(config.defaults[0]) if lr is rates[0] is None else tuple(rate or lr for rate in rates)  # type: ignore[return-value]


@pytest.mark.parametrize("experiment", RATES)
def test_an_experiment_says_its_rate_itself(experiment: str) -> None:
    assert read_rates(experiment) == pytest.approx(RATES[experiment])
    for words in ([], ["loss=wgan_gp"]):
        optim = compose_config(f"experiment={experiment}", *words).optim
        assert (optim.G.lr, optim.D.lr) == pytest.approx(RATES[experiment])


def test_a_trainer_brings_its_hardware_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 4)
    switches = {trainer: compose_config(f"trainer={trainer}").hardware for trainer in ("cpu", "gpu", "ddp")}
    assert {name: (node.tf32, node.capture, node.channels_last) for name, node in switches.items()} == {
        "cpu": (False, False, True),
        "gpu": (True, True, False),
        "ddp": (True, False, False),
    }
    assert all(node.sync_batchnorm for node in switches.values())
    assert not compose_config("trainer=gpu", "hardware=cpu").hardware.tf32
    assert not compose_config("trainer=gpu", "hardware.capture=false").hardware.capture


def test_the_trainer_has_arguments_of_lightning_alone() -> None:
    with pytest.raises(ValueError, match=r"^trainer\.capture must be one of the known keys .*, got an unknown one"):
        compose_config("+trainer.capture=true")


@pytest.mark.parametrize("variable", ["GANTRY_DATA_DIR", "GANTRY_CACHE_DIR", "GANTRY_LOGS"])
def test_an_environment_variable_is_read_in_one_place(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path for path in CONFIG_DIR.rglob("*.yaml") if f"env:{variable}" in path.read_text()]
    assert files == [CONFIG_DIR / "paths" / "default.yaml"]
    monkeypatch.setenv(variable, "/somewhere")
    name = {"GANTRY_DATA_DIR": "data", "GANTRY_CACHE_DIR": "cache", "GANTRY_LOGS": "logs"}[variable]
    assert compose_config().paths[name] == "/somewhere"


def test_folders_follow_paths() -> None:
    words = ["paths.data=D", "paths.cache=C", "paths.logs=L"]
    cfg = compose_config("data=cifar10", "logger=mlflow", "run.name=R", *words)
    assert (cfg.data.source.root, cfg.metrics.cache, cfg.run.dir) == ("D", "C/real_statistics", "L/train/R")
    assert cfg.logger.mlflow.artifacts == "L/mlflow"
    assert compose_config("runs=[a]", "paths.logs=L", config_name="compare").out.startswith("L/compare/")
    assert compose_config("run=a", "paths.logs=L", config_name="evaluate").output.startswith("L/evaluate/")


def test_a_callback_of_ones_own_joins_the_default_ones(tmp_path: Path) -> None:
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "mine.yaml").write_text("mine:\n  _target_: mine.Callback\nsamples: null\n")
    search_path = f"hydra.searchpath=[file://{tmp_path}]"
    default = compose_config().callbacks
    cfg = compose_config(search_path, "callbacks=[default,mine]")
    assert list(cfg.callbacks) == [*default, "mine"]
    assert cfg.callbacks.samples is None
    assert list(compose_config("callbacks=[scalars,checkpoints]").callbacks) == ["scalars", "checkpoints"]
    assert list(compose_config("callbacks=[]").callbacks) == []


def test_every_callback_has_a_file_of_its_name() -> None:
    assert sorted(compose_config().callbacks) == sorted(set(list_choices("callbacks")) - {"default"})
    for name in compose_config().callbacks:
        assert list(compose_config(f"callbacks={name}").callbacks) == [name]


@pytest.mark.parametrize("value", ["null", "false"])
def test_a_callback_and_a_logger_are_left_out(value: str) -> None:
    from gantry.config.instantiate import build_all

    cfg = compose_config(f"callbacks.samples={value}", f"logger.wandb={value}")
    assert cfg.callbacks.samples is None
    assert list(build_all(cfg.logger)) == ["csv"]


def test_the_csv_logger_is_part_of_every_choice_but_none() -> None:
    for choice in set(list_choices("logger")) - {"none"}:
        assert compose_config(f"logger={choice}").logger.csv["_target_"] == "gantry.loggers.csv_logger.CsvLogger"
    assert list(compose_config("logger=[tensorboard,wandb]").logger) == ["csv", "tensorboard", "wandb"]
    assert compose_config("logger=none").logger == {}
