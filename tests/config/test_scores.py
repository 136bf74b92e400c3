"""Settings of scores are obeyed or refused, in a run and in an evaluation."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from compose_config import compose_config
from gantry.commands.evaluate import complete_config
from gantry.config.scores import check_selection_keys
from gantry.runs.folder import write_config

MANIFOLD = {"k": 3, "density_k": 5}
KID = {"subsets": 100, "subset_size": 1000, "seed": 2020}
INFINITY = {"blocks": 16, "seed": 0}


def read_scores(cfg: DictConfig, key: str = "metrics.scores") -> dict[str, Any]:
    """Return the settings of each score, without its class."""
    nodes: Any = OmegaConf.to_container(OmegaConf.select(cfg, key), resolve=True)
    return {name: {k: v for k, v in node.items() if k != "_target_"} for name, node in nodes.items()}


def score(*words: str) -> dict[str, Any]:
    """Return the settings of all scores that evaluate.py computes."""
    cfg = compose_config("device=cpu", *words, config_name="evaluate")
    complete_config(cfg)
    report = {} if cfg.metrics.report is None else read_scores(cfg, "metrics.report.scores")
    return read_scores(cfg) | report


FILES = ("samples=samples", "data=digits")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scores={manifold:{k:5}}"], {"manifold": MANIFOLD | {"k": 5}}),
        (["scores={frechet:false,manifold:true}"], {"manifold": MANIFOLD}),
        (["scores=[manifold]", "+metrics.scores.manifold={k:5}"], {"manifold": MANIFOLD | {"k": 5}}),
        (["scores=manifold", "+metrics.scores.kid=true"], {"manifold": MANIFOLD}),
        (
            ["scores={per_class:true,infinity:{blocks:8}}"],
            {"per_class": {"num_classes": 10}, "infinity": INFINITY | {"blocks": 8}},
        ),
        (["scores={per_class:{num_classes:4}}"], {"per_class": {"num_classes": 4}}),
        (["+metrics.scores.manifold=true"], {"frechet": {}, "inception_score": {}, "manifold": MANIFOLD}),
        (["+metrics.scores.manifold={k:5}"], {"frechet": {}, "inception_score": {}, "manifold": MANIFOLD | {"k": 5}}),
        (["+metrics.scores.frechet=false"], {"inception_score": {}}),
        (
            ["metrics=inception", "scores=[kid]", "+metrics.scores.kid={subset_size:50}"],
            {"kid": KID | {"subset_size": 50}},
        ),
        (
            ["metrics=inception", "+metrics.scores.manifold={k:5}", "+metrics.scores.inception_score=false"],
            {"frechet": {}, "manifold": MANIFOLD | {"k": 5}, "kid": KID},
        ),
    ],
)
def test_an_evaluation_has_the_scores_and_settings_of_the_command_line(
    words: list[str], expected: dict[str, Any]
) -> None:
    assert score(*FILES, *words) == expected


def test_the_scores_of_a_run_are_changed_one_by_one(tmp_path: Path) -> None:
    write_config(compose_config("+metrics.report.scores.manifold={k:4}", f"run.dir={tmp_path}/run"), tmp_path / "run")
    of_the_run = {"frechet": {}, "inception_score": {}, "manifold": MANIFOLD | {"k": 4}}
    run = f"run={tmp_path}/run"

    def score_run(*words: str) -> dict[str, Any]:
        cfg = compose_config(run, *words, config_name="evaluate")
        with pytest.raises(ValueError, match="generator"):  # the run has none; it is looked for last
            complete_config(cfg)
        return read_scores(cfg) | read_scores(cfg, "metrics.report.scores")

    assert score_run() == of_the_run
    assert score_run("+metrics.scores.manifold=true") == of_the_run
    assert score_run("+metrics.scores.manifold={density_k:9}") == of_the_run | {"manifold": {"k": 4, "density_k": 9}}
    assert score_run("+metrics.scores.manifold=false") == {"frechet": {}, "inception_score": {}}
    assert score_run("+metrics.scores.kid={subset_size:50}") == of_the_run | {"kid": KID | {"subset_size": 50}}
    assert score_run("scores=[manifold]") == {"manifold": MANIFOLD | {"k": 4}}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("scores=3", r"scores must be names of scores, .*, got 3"),
        ("scores=[[kid]]", r"scores must be names of scores, .*, got \[\['kid'\]\]"),
        ("scores=''", r"scores must be names"),
        ("scores=[recal]", r"metrics\.scores\.recal must be one of the known keys"),
        ("scores={manifold:3}", r"metrics\.scores\.manifold must be true, false or a dict with _target_, got 3"),
        ("scores={manifold:{k:abc}}", r"metrics\.scores\.manifold\.k must be an integer, got abc"),
        ("scores={manifold:{q:5}}", r"metrics\.scores\.manifold\.q must be one of the known keys density_k, k, got"),
        (
            "scores={inception_score:{splits:5}}",
            r"metrics\.scores\.inception_score\.splits must be .*, got an unknown one",
        ),
        ("scores={manifold:false}", r"metrics must be a choice with scores"),
        ("+metrics.scores=[manifold]", r"metrics\.scores must be a dict \(scores=\[\.\.\.\] takes a list\), got"),
        ("+metrics.quality=1", r"metrics\.quality must be one of the known keys"),
    ],
)
def test_others_are_refused(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(*FILES, word)


def test_settings_of_the_selection_are_refused_where_they_change_nothing() -> None:
    cfg = compose_config(*FILES, "metrics=small", config_name="evaluate")
    check_selection_keys(["metrics=small", "metrics.report.num_samples=9", "num_samples=9"], cfg.metrics)
    for key in ("num_samples", "seed"):
        with pytest.raises(
            ValueError, match=rf"^metrics\.{key} must be left out of an evaluation, whose key is {key}, got"
        ):
            check_selection_keys([f"+metrics.{key}=9"], cfg.metrics)
    cfg.metrics.report = None
    check_selection_keys(["metrics.num_samples=9"], cfg.metrics)


def test_in_a_run_the_report_takes_the_settings_of_the_selection() -> None:
    cfg = compose_config("metrics=inception", "+metrics.scores.manifold={k:5}", "+metrics.scores.kid={subset_size:50}")
    assert read_scores(cfg, "metrics.report.scores")["manifold"] == MANIFOLD | {"k": 5}
    assert read_scores(cfg, "metrics.report.scores")["kid"] == KID | {"subset_size": 50}
    cfg = compose_config("+metrics.scores.manifold={k:5}", "+metrics.report.scores.manifold={k:7}")
    assert read_scores(cfg)["manifold"]["k"] == 5
    assert read_scores(cfg, "metrics.report.scores")["manifold"]["k"] == 7
    with pytest.raises(ValueError, match=r"^scores must be metrics\.scores in a run .*, got \['manifold'\]"):
        compose_config("+scores=[manifold]")
