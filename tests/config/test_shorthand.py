"""Short forms of terms and scores."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from compose_config import compose_config
from gantry.config.compose import expand_shorthand


def spelt(**node: Any) -> Any:
    cfg = OmegaConf.create(node)
    expand_shorthand(cfg)
    return OmegaConf.to_container(cfg, resolve=False)


def test_a_weight_stands_for_a_term() -> None:
    terms = spelt(loss={"d_terms": {"r1": 0.5, "gp": {"every": 4}}})["loss"]["d_terms"]
    assert terms["r1"]["penalty"]["_target_"] == "gantry.losses.penalties.r1"
    assert (terms["r1"]["weight"], terms["r1"]["every"]) == (0.5, 1)
    assert (terms["gp"]["weight"], terms["gp"]["every"]) == (10.0, 4)


def test_true_stands_for_a_score_and_false_for_none() -> None:
    scores = spelt(metrics={"scores": {"manifold": True, "kid": {"subsets": 5}, "frechet": False}})["metrics"]["scores"]
    assert scores["manifold"] == {"_target_": "gantry.metrics.precision_recall.PrecisionRecall", "k": 3, "density_k": 5}
    assert (scores["kid"]["subsets"], scores["kid"]["subset_size"]) == (5, 1000)
    assert "frechet" not in scores


def test_what_has_a_target_stays_as_it_is() -> None:
    mine = {"_target_": "mine.Score", "k": 1}
    assert spelt(metrics={"scores": {"mine": mine}})["metrics"]["scores"]["mine"] == mine


def test_without_scores_or_terms_nothing_happens() -> None:
    assert spelt(metrics=None, loss={"d_terms": {}}) == {"metrics": None, "loss": {"d_terms": {}}}


def test_an_unknown_name_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"metrics\.scores\.recal must be one of the known keys .*manifold.*"):
        spelt(metrics={"scores": {"recal": True}})
    with pytest.raises(ValueError, match=r"loss\.d_terms\.r3 must be one of the known keys .*dragan, .*gp, "):
        spelt(loss={"d_terms": {"r3": 1.0}})


def test_on_the_command_line() -> None:
    cfg = compose_config(
        "+metrics.report.scores={manifold: true, kid: {subset_size: 100}}", "+loss.d_terms.r1.every=16"
    )
    assert cfg.metrics.report.scores.kid.subset_size == 100
    assert cfg.metrics.report.scores.manifold.k == 3
    assert (cfg.loss.d_terms.r1.every, cfg.loss.d_terms.r1.weight) == (16, 5.0)
    assert compose_config("+metrics.scores.per_class=true").metrics.scores.per_class.num_classes == 10
