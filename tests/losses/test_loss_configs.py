"""The recipes in configs/loss, read as they stand: each builds its objective, with its paper's numbers."""

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gantry.losses import penalties
from gantry.losses.objective import Objective, Term

CONFIGS = Path(__file__).parents[2] / "configs" / "loss"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
TERMS = sorted(path.stem for path in (CONFIGS / "term").glob("*.yaml"))

# name: n_critic, {term: weight}, learning rate, betas
PAPERS: dict[str, tuple[int, dict[str, float], float, list[float]]] = {
    "minimax": (1, {}, 2e-4, [0.5, 0.999]),
    "nonsaturating": (1, {}, 2e-4, [0.5, 0.999]),
    "bce": (1, {}, 2e-4, [0.5, 0.999]),
    "lsgan": (1, {}, 2e-4, [0.5, 0.999]),
    "hinge": (5, {}, 2e-4, [0.0, 0.9]),
    "wgan": (5, {}, 5e-5, [0.0, 0.9]),
    "wgan_gp": (5, {"gp": 10.0}, 1e-4, [0.0, 0.9]),
    "wgan_lp": (5, {"lp": 10.0}, 1e-4, [0.0, 0.9]),
    "dragan": (1, {"dragan": 10.0}, 2e-4, [0.5, 0.999]),
    "r1": (1, {"r1": 5.0}, 1e-4, [0.0, 0.99]),
    "relativistic": (1, {}, 2e-4, [0.5, 0.999]),
    "relativistic_average": (1, {}, 2e-4, [0.5, 0.999]),
    "r3": (1, {"r1": 0.025, "r2": 0.025}, 2e-4, [0.0, 0.99]),
}


def read(name: str) -> Any:
    return OmegaConf.load(CONFIGS / f"{name}.yaml")


def test_every_recipe_is_checked() -> None:
    assert sorted(PAPERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_its_papers_numbers(name: str) -> None:
    config = read(name)
    loss: Objective = instantiate(config.loss, _convert_="all")
    n_critic, terms, lr, betas = PAPERS[name]
    assert loss.n_critic == n_critic
    assert {key: term.weight for key, term in loss.d_terms.items()} == terms
    assert (config.recipe.lr, config.recipe.betas) == (lr, betas)
    assert loss.relativistic == name.startswith(("relativistic", "r3"))
    assert loss.weight_clip == (0.01 if name == "wgan" else None)


@pytest.mark.parametrize("name", NAMES)
def test_a_critic_under_a_penalty_may_not_use_batch_norm(name: str) -> None:
    config = read(name)
    assert config.recipe.critic_batch_norm == (not config.loss.d_terms)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_beside_any_loss_is_that_of_its_own_loss(name: str) -> None:
    term: Term = instantiate(read(f"term/{name}"), _convert_="all")
    home = {"gp": "wgan_gp", "lp": "wgan_lp"}.get(name, name)
    if home in NAMES:
        alike: Term = instantiate(read(home).loss.d_terms[name], _convert_="all")
        assert (term.weight, term.every) == (alike.weight, alike.every)
        assert term.penalty.func is alike.penalty.func


def test_every_penalty_is_a_term() -> None:
    built = {instantiate(read(f"term/{name}"), _convert_="all").penalty.func for name in TERMS}
    wanted = {
        penalties.gradient_penalty,
        penalties.lipschitz_penalty,
        penalties.dragan,
        penalties.r1,
        penalties.r2,
    }
    assert built == wanted
