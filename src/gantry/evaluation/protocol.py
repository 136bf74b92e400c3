"""How a number was measured. A score without its protocol says nothing, and is never stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from typing import Any

from gantry.values import to_json_values

SCORE_KEY_PREFIX = "scores."  # before the names of scores, whose settings are compared one by one
PROTOCOL_LIBRARIES = ("torch", "torch-fidelity", "numpy", "scipy")


@dataclass(frozen=True)
class SampleFacts:
    """What only who makes the samples knows of them.

    `shape` of one; `checkpoint`: the rule by which it was chosen, or where the files lie; `generator`:
    "G_ema" or "G", and `batchnorm`: how it normalised, both None for samples from files.
    """

    shape: tuple[int, ...]
    checkpoint: str
    generator: str | None = None
    batchnorm: str | None = None


@dataclass(frozen=True)
class EvaluationProtocol:
    """Everything that a score depends on beside the samples themselves; `scores` has the settings of each."""

    extractor: str
    extractor_digest: str
    resizer: str
    arithmetic: str
    real: str
    real_split: str
    real_count: int
    real_digest: str
    shape: tuple[int, ...]
    num_samples: int
    seed: int | None
    generator: str | None
    batchnorm: str | None
    checkpoint: str
    scores: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and loggers."""
        return dict(to_json_values(asdict(self)))


def find_protocol_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What two protocols, as dicts, disagree on: "seed: 0 and 1"; numbers are comparable if nothing.

    A score that only one of them has does not make the others incomparable.
    """
    a, b = _flatten_score_settings(a), _flatten_score_settings(b)
    facts = [field.name for field in fields(EvaluationProtocol)]
    other = sorted((a.keys() | b.keys()) - set(facts))
    names = [name for name in (*facts, *other) if not name.startswith(SCORE_KEY_PREFIX) or (name in a and name in b)]
    return [f"{name}: {a.get(name)} and {b.get(name)}" for name in names if a.get(name) != b.get(name)]


def _flatten_score_settings(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of each score as an entry of its own, `scores.kid`."""
    facts: dict[str, Any] = {"arithmetic": "float32"} | dict(
        to_json_values(protocol)
    )  # which is not in those of older runs
    scores = facts.pop("scores", {})
    return facts | {f"{SCORE_KEY_PREFIX}{name}": settings for name, settings in scores.items()}


def get_library_versions() -> dict[str, str]:
    """The versions of the libraries that numbers depend on."""
    return {name: metadata.version(name) for name in PROTOCOL_LIBRARIES}
