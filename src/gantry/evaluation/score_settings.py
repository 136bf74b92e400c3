"""Tell which settings of a protocol a number depends on: those of its own score, and not those of the others."""

import re
from collections.abc import Mapping
from typing import Any

from gantry.evaluation.protocol import find_protocol_differences

METRIC_KINDS = {  # name in metrics.scores -> the kinds of its numbers, as in `make_metric_name`
    "frechet": ("fd",),
    "inception_score": ("cs",),
    "kid": ("kd",),
    "manifold": ("precision", "recall", "density", "coverage"),
    "memorisation": ("nearer", "copies"),
    "infinity": ("fd_infinity",),
    "per_class": ("fd_class",),
}
PLAIN_METRICS = {"modes": ("overlap", "modes", "high_quality", "kl"), "class_modes": ("kl", "modes")}
PARTS = r"(_(std|low|high|mean|worst|\d+))?"  # of the numbers of one kind
INCEPTION_STEMS = {"fd": "fid", "cs": "is", "kd": "kid"}


def find_score_differences(a: Mapping[str, Any], b: Mapping[str, Any], metric: str) -> list[str]:
    """Return the facts that differ between two protocols and that the number `metric` depends on.

    See `find_protocol_differences`. The score of another number, a user's own, is not known: it depends on the settings
    of all scores that are not Gantry's.
    """
    names = find_scores(a, metric) | find_scores(b, metric)
    first, second = ({**protocol, "scores": select_score_settings(protocol, names)} for protocol in (a, b))
    return find_protocol_differences(first, second)


def select_score_settings(protocol: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the settings of some scores of a protocol."""
    return {name: settings for name, settings in protocol.get("scores", {}).items() if name in names}


def find_scores(protocol: Mapping[str, Any], metric: str) -> set[str]:
    """Return the names of the scores of a protocol that a number may be of."""
    names = set(protocol.get("scores", {}))
    known = {name for name, metrics in PLAIN_METRICS.items() if metric in metrics}
    known |= {
        name for name, kinds in METRIC_KINDS.items() if any(is_metric_of_kind(metric, k, protocol) for k in kinds)
    }
    own = names - METRIC_KINDS.keys() - PLAIN_METRICS.keys()
    return (known & names if known else own) or names


def is_metric_of_kind(metric: str, kind: str, protocol: Mapping[str, Any]) -> bool:
    """Return True for a number of a kind with the extractor of a protocol: `kd_digits_std` is of the kind `kd`."""
    stem, *rest = kind.split("_")
    extractor = str(protocol.get("extractor"))
    own = INCEPTION_STEMS.get(stem, stem) if extractor == "inception" else f"{stem}_{extractor}"
    return re.fullmatch(re.escape("_".join([own, *rest])) + PARTS, metric) is not None
