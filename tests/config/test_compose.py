"""Every configuration composes, and what it names exists."""

from importlib.util import find_spec
from pathlib import Path

import hydra
import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from compose_config import compose_config, list_choices
from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR, compose
from gantry.distributed.environment import count_cores

GROUPS = (
    "data",
    "model",
    "loss",
    "optim",
    "augment",
    "metrics",
    "callbacks",
    "logger",
    "hardware",
    "paths",
    "experiment",
    "debug",
    "hparams_search",
)
NEEDS = {
    "folder": ["data.source.root=."],
    "ring": ["model=mlp"],
    "grid": ["model=mlp"],
    "own": ["metrics.extractor.net._target_=torch.nn.Flatten"],
    "gpu": ["trainer=gpu"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_composes_and_resolves(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 1)
    for choice in list_choices(group):
        OmegaConf.to_container(compose_config(f"{group}={choice}", *NEEDS.get(choice, [])), resolve=True)


@pytest.mark.parametrize("data", [name for name in list_choices("data") if name not in ("ring", "grid")])
def test_every_model_fits_every_set_of_images(data: str) -> None:
    for model in list_choices("model"):
        compose_config(f"data={data}", f"model={model}", *NEEDS.get(data, []))


@pytest.mark.parametrize("launcher", list_choices("launcher"))
def test_every_launcher_composes_and_resolves(launcher: str) -> None:
    if launcher == "ray" and not find_spec("hydra_plugins.hydra_ray_launcher"):
        pytest.skip("the extra ray is not installed")
    resolvers.register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", [f"launcher={launcher}", "trainer=ddp_cpu"], return_hydra_config=True)
    settings = cfg.hydra.launcher
    assert cfg.hydra.runtime.choices["hydra/launcher"] == launcher
    assert cfg.run.auto_resume == (launcher not in ("basic", "joblib"))  # schedulers that run a job again
    if launcher.startswith("submitit"):
        assert (settings.tasks_per_node, settings.gpus_per_node) == (1, 0)
    elif launcher == "joblib":
        assert settings.n_jobs == max(1, count_cores() // 2)


@pytest.mark.parametrize("pruner", list_choices("hparams_search/pruner"))
def test_every_pruner_composes_and_is_built(pruner: str) -> None:
    from gantry.config.instantiate import build_all

    for search in list_choices("hparams_search"):
        words = (f"hparams_search={search}", f"hparams_search/pruner={pruner}", "run.dir=S/3")
        pruning = compose_config(*words).callbacks.get("pruning")
        assert (pruning is None) == (pruner == "none")
        assert all(part.folder.name == "3" for part in build_all({"pruning": pruning}).values())  # type: ignore[arg-type]


MINE = """# @package _global_
defaults:
  - tpe
hydra:
  sweeper:
    n_trials: 50
    params:
      optim.D.lr: tag(log,interval(1e-5,1e-2))
"""


def test_a_search_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "hparams_search").mkdir()
    (tmp_path / "hparams_search" / "mine.yaml").write_text(MINE)
    resolvers.register_resolvers()
    words = [f"hydra.searchpath=[file://{tmp_path}]", "hparams_search=mine", "hparams_search/pruner=hyperband"]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", words, return_hydra_config=True)
    assert cfg.hydra.mode == RunMode.MULTIRUN
    assert cfg.hydra.sweeper.params == {"optim.D.lr": "tag(log,interval(1e-5,1e-2))"}
    assert (cfg.hydra.sweeper.n_trials, cfg.hydra.sweeper.n_jobs) == (50, 1)
    assert cfg.hydra.sweeper.sampler["_target_"] == "optuna.samplers.TPESampler"
    assert cfg.callbacks.pruning.pruner["_target_"] == "optuna.pruners.HyperbandPruner"


@pytest.mark.parametrize("search", list_choices("hparams_search"))
def test_every_search_is_a_sweep_by_itself(search: str) -> None:
    resolvers.register_resolvers()
    assert compose("train", [f"hparams_search={search}"]).hydra.mode == RunMode.MULTIRUN
    assert compose("train", []).hydra.mode is None


def test_a_grid_is_not_pruned_unless_asked() -> None:
    assert compose_config("hparams_search=grid").callbacks.pruning is None
    assert compose_config("hparams_search=tpe", "turns=100").callbacks.pruning.pruner.n_warmup_steps == 25


def test_a_penalty_takes_batch_norm_out_of_the_critic() -> None:
    assert compose_config("model=dcgan", "loss=nonsaturating").model.D.norm == "batch"
    assert compose_config("model=dcgan", "loss=wgan_gp").model.D.norm == "none"
    assert compose_config("model=dcgan", "loss=nonsaturating", "+loss.d_terms.r1=5").model.D.norm == "none"
    with pytest.raises(ValueError, match=r"model\.D\.norm must not be batch"):
        compose_config("model=dcgan", "loss=wgan_gp", "model.D.norm=batch")


def test_a_number_stands_for_a_term_of_that_weight() -> None:
    term = compose_config("loss=hinge", "+loss.d_terms.r1=0.25").loss.d_terms.r1
    assert term.weight == 0.25
    assert term.penalty["_target_"] == "gantry.losses.penalties.r1"
    with pytest.raises(ValueError, match=r"loss\.d_terms\.r3 must be one of .*r1"):
        compose_config("+loss.d_terms.r3=1")


def test_the_command_line_wins_over_the_recipe() -> None:
    assert compose_config("loss=wgan_gp").optim.D.betas == [0.0, 0.9]
    assert compose_config("loss=wgan_gp", "optim.D.lr=0.5").optim.D.lr == 0.5
    assert compose_config("loss=wgan").optim.G["_target_"] == "torch.optim.RMSprop"
    assert compose_config("loss=wgan", "optim=adam").optim.G["_target_"] == "torch.optim.Adam"


def test_the_parameter_counts_of_the_papers() -> None:
    from gantry.config.instantiate import build

    def millions(experiment: str) -> list[float]:
        model = compose_config(f"experiment={experiment}").model
        nets = (build(model.G), build(model.D))
        return [round(sum(p.numel() for p in net.parameters()) / 1e6, 2) for net in nets]

    assert millions("cifar10_dcgan") == [3.81, 2.93]
    assert millions("cifar10_sngan") == [4.28, 1.05]
    assert millions("cifar10_wgan_gp") == [4.28, 1.05]
