"""Choose the scores of an evaluation: `scores=`, and settings of metrics.scores over those of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from gantry.config.rules import format_value
from gantry.config.text_values import get_override_key


def merge_metrics(base: Any, given: Any) -> Any:
    """Return the metrics `base` with `given` settings over them, `+metrics.scores.manifold={k: 5}` for example."""
    if given is None:
        return base
    for metrics in (base, given):
        if not isinstance(metrics, Mapping | DictConfig):
            raise ValueError(
                f"metrics must be a choice of metrics or settings of one, got {format_value(_to_unresolved(metrics))}"
            )
        check_scores(metrics)
    merged = OmegaConf.merge(base, {name: value for name, value in given.items() if name != "scores"})
    assert isinstance(merged, DictConfig)
    with open_dict(merged):
        for name, value in (given.get("scores") or {}).items():
            chosen = apply_settings(find_score_settings(merged, name), value)
            drop_from_report(merged, name)
            merged.scores = {**(merged.get("scores") or {}), name: chosen}
    return merged


def check_selection_keys(words: Sequence[str], metrics: DictConfig) -> None:
    """Raise ValueError for settings of the selection, which change nothing in an evaluation by those of the report."""
    keys = set(map(get_override_key, words))
    for name in ("num_samples", "seed"):
        if f"metrics.{name}" in keys and metrics.get("report") is not None:
            rule = f"left out of an evaluation, whose key is {name}"
            raise ValueError(f"metrics.{name} must be {rule}, got {format_value(metrics.get(name))}")


def check_scores(metrics: Mapping[str, Any] | DictConfig) -> None:
    """Raise ValueError unless metrics.scores is a dict, if it is given."""
    scores = metrics.get("scores")
    if not (scores is None or isinstance(scores, Mapping | DictConfig)):
        raise ValueError(
            f"metrics.scores must be a dict (scores=[...] takes a list), got {format_value(_to_unresolved(scores))}"
        )


def drop_left_out_scores(metrics: DictConfig) -> None:
    """Leave scores that are false in metrics.scores out of the report, too: an evaluation is of both together."""
    check_scores(metrics)
    for name in [name for name, value in (metrics.get("scores") or {}).items() if value is False]:
        drop_from_report(metrics, name)


def select_scores(metrics: DictConfig, scores: Any) -> None:
    """Keep the scores that `scores` names, as a list or with settings: in place. Settings of the metrics stay."""
    chosen = parse_scores(scores)
    known = {name: find_score_settings(metrics, name) for name in chosen}
    with open_dict(metrics):
        metrics.scores = {name: apply_settings(known[name], value) for name, value in chosen.items()}
        if metrics.get("report") is not None:
            metrics.report.scores = {}


def parse_scores(scores: Any) -> dict[str, Any]:
    """Return {name: true, false or settings} of a name, a list of names or a dict of settings."""
    plain = _to_unresolved(scores)
    names = [plain] if isinstance(plain, str) else plain
    if isinstance(names, list) and all(isinstance(name, str) and name for name in names):
        return dict.fromkeys(names, True)
    if isinstance(plain, Mapping):
        return {str(name): value for name, value in plain.items()}
    rule = "names of scores, [frechet,manifold], or a dict of settings, {manifold: {k: 5}}"
    raise ValueError(f"scores must be {rule}, got {format_value(plain)}")


def find_score_settings(metrics: DictConfig, name: Any) -> DictConfig | None:
    """Return the settings that the metrics have of a score, of the report if there are none beside it."""
    for key in ("scores", "report.scores"):
        nodes = OmegaConf.select(metrics, key)
        if isinstance(nodes, DictConfig) and isinstance(nodes.get(name), DictConfig):
            return nodes[name]
    return None


def apply_settings(known: DictConfig | None, value: Any) -> Any:
    """Return settings over known ones; true stands for the known ones."""
    if known is None or value in (None, False):
        return value
    return (
        known if value is True else OmegaConf.merge(known, value) if isinstance(value, Mapping | DictConfig) else value
    )


def drop_from_report(metrics: DictConfig, name: Any) -> None:
    """Remove a score from those of the report alone."""
    nodes = OmegaConf.select(metrics, "report.scores")
    if isinstance(nodes, DictConfig) and name in nodes:
        with open_dict(nodes):
            del nodes[name]


def _to_unresolved(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=False) if isinstance(value, DictConfig | ListConfig) else value
