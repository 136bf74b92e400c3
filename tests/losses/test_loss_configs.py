"""configs/loss: each file builds its objective, with its paper's numbers."""

from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from compose_config import compose_config, list_choices
from gantry.config.compose import CONFIG_DIR
from gantry.losses import consistency, logits, penalties, regularisers
from gantry.losses.objective import Objective
from gantry.losses.term import Term

NAMES = list_choices("loss")
TERMS = list_choices("loss/term")
HOMES = {"gp": "wgan_gp", "lp": "wgan_lp", "r2": "r3"}  # the loss that a term is known by, where its name differs

# name: n_critic, {term: weight}, learning rate, betas
PAPERS: dict[str, tuple[int, dict[str, float], float, list[float]]] = {
    "minimax": (1, {}, 4e-4, [0.5, 0.999]),
    "nonsaturating": (1, {}, 4e-4, [0.5, 0.999]),
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


TERM_PAPERS: dict[str, tuple[Any, float, int, str]] = {  # name: penalty, weight, every, net
    "gp": (penalties.gradient_penalty, 10.0, 1, "D"),
    "gp0": (penalties.zero_centred_penalty, 10.0, 1, "D"),
    "lp": (penalties.lipschitz_penalty, 10.0, 1, "D"),
    "dragan": (penalties.dragan, 10.0, 1, "D"),
    "r1": (penalties.r1, 5.0, 1, "D"),
    "r2": (penalties.r2, 5.0, 1, "D"),
    "approximate_r1": (penalties.approximate_r1, 5.0, 1, "D"),
    "approximate_r2": (penalties.approximate_r2, 5.0, 1, "D"),
    "cr": (consistency.consistency, 10.0, 1, "D"),
    "bcr": (consistency.balanced_consistency, 10.0, 1, "D"),
    "zcr": (consistency.latent_consistency, 20.0, 1, "D"),
    "zcr_g": (consistency.latent_diversity, 0.5, 1, "G"),
    "mode_seeking": (consistency.mode_seeking, 1.0, 1, "G"),
    "lecam": (logits.LeCam, 0.3, 1, "D"),
    "centring": (logits.centring, 0.01, 1, "D"),
    "classify": (logits.classify, 1.0, 1, "D"),
    "classify_real": (logits.classify_real, 1.0, 1, "D"),
    "classify_fake": (logits.classify_fake, 1.0, 1, "G"),
    "orthogonal": (regularisers.orthogonal_d, 1e-4, 1, "D"),
    "orthogonal_g": (regularisers.orthogonal_g, 1e-4, 1, "G"),
    "feature_matching": (regularisers.feature_matching, 1.0, 1, "G"),
    "path_length": (regularisers.PathLength, 2.0, 4, "G"),
}


def read_term(name: str) -> Any:
    return OmegaConf.load(CONFIG_DIR / "loss" / "term" / f"{name}.yaml")


def test_every_recipe_is_checked() -> None:
    assert sorted(PAPERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_its_papers_numbers(name: str) -> None:
    config = compose_config(f"loss={name}")
    loss: Objective = instantiate(config.loss, _convert_="all")
    n_critic, terms, lr, betas = PAPERS[name]
    assert loss.n_critic == n_critic
    assert {key: term.weight for key, term in loss.d_terms.items()} == terms
    assert (config.recipe.lr, config.recipe.betas) == (lr, betas)
    assert loss.relativistic == name.startswith(("relativistic", "r3"))
    assert loss.weight_clip == (0.01 if name == "wgan" else None)


@pytest.mark.parametrize("name", NAMES)
def test_a_critic_under_a_penalty_may_not_use_batch_norm(name: str) -> None:
    config = compose_config(f"loss={name}")
    assert config.recipe.critic_batch_norm == (not config.loss.d_terms)


@pytest.mark.parametrize("name", sorted({"gp", "lp", "dragan", "r1", "r2"}))
def test_a_term_beside_any_loss_is_that_of_its_own_loss(name: str) -> None:
    term: Term = instantiate(read_term(name), _convert_="all")
    alike: Term = instantiate(compose_config(f"loss={HOMES.get(name, name)}").loss.d_terms[name], _convert_="all")
    assert term.every == alike.every
    assert (term.weight == alike.weight) == (name != "r2")  # R3GAN's paper has weights of its own
    assert term.penalty.func is alike.penalty.func


@pytest.mark.parametrize("name", TERMS)
def test_a_term_has_the_numbers_of_its_paper_and_its_net(name: str) -> None:
    penalty, weight, every, net = TERM_PAPERS[name]
    group = f"{net.lower()}_terms"
    cfg = compose_config("model=mlp", f"+loss.{group}.{name}={weight}", "loss.g_batch=2")  # mode seeking needs pairs
    for config in (read_term(name), cfg.loss[group][name]):
        term: Term = instantiate(config, _convert_="all")
        assert (term.weight, term.every) == (weight, every)
        assert term.requirements.net == net
        assert penalty in (type(term.penalty), getattr(term.penalty, "func", None))


@pytest.mark.parametrize("name", TERMS)
def test_a_weight_is_written_in_one_file(name: str) -> None:
    """The file of the term has it; only R3GAN's, whose paper says another number, sets one of its own."""
    files = {path.stem: OmegaConf.load(path) for path in (CONFIG_DIR / "loss").glob("*.yaml")}
    weights = {loss for loss, config in files.items() if OmegaConf.select(config, f"loss.d_terms.{name}.weight")}
    assert weights <= {"r3"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_repeats_nothing_of_the_defaults(name: str) -> None:
    defaults: Any = OmegaConf.load(CONFIG_DIR / "loss_defaults.yaml").loss
    file: Any = OmegaConf.load(CONFIG_DIR / "loss" / f"{name}.yaml").loss
    assert {key for key in file if key not in ("d", "g", "d_terms") and file[key] == defaults[key]} == set()
    assert "_partial_" not in (*file.d, *file.g)


def test_every_term_is_checked() -> None:
    assert sorted(TERM_PAPERS) == TERMS


def test_batch_norm_stays_with_terms_that_do_not_differentiate_the_logits() -> None:
    assert compose_config("model=dcgan", "+loss.d_terms.lecam=0.3", "+loss.d_terms.cr=10").model.D.norm == "batch"
    assert compose_config("model=dcgan", "+loss.d_terms.lecam=0.3", "+loss.d_terms.r1=1").model.D.norm == "none"
