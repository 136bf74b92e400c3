"""The protocol of a score: how it was measured. No score is stored without one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from typing import Any

from gantry.values import to_json_values

SCORE_KEY_PREFIX = "scores."  # of the settings of each score, which are compared one by one
PROTOCOL_LIBRARIES = ("torch", "torch-fidelity", "numpy", "scipy")


@dataclass(frozen=True)
class SampleFacts:
    """Facts about the samples that only their source knows.

    `shape` is that of one sample; `checkpoint` is the rule that chose the checkpoint, or the name of the files;
    `generator` is "G_ema" or "G", and `batchnorm` how it normalised, both None for samples from files. `turn` and
    `kimg` are those of the generator, None if they are not known; they are not part of the protocol. `conversions`
    says what decoding files changed, None if it changed nothing.
    """

    shape: tuple[int, ...]
    checkpoint: str
    generator: str | None = None
    batchnorm: str | None = None
    turn: int | None = None
    kimg: float | None = None
    conversions: str | None = None


@dataclass(frozen=True)
class EvaluationProtocol:
    """Everything that a score depends on beside the samples themselves; `scores` has the settings of each.

    `samples_converted` and `real_converted` say what decoding files changed ("16 bits to 8"), None if it
    changed nothing.
    """

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
    samples_converted: str | None = None
    real_converted: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and loggers."""
        return dict(to_json_values(asdict(self)))


def find_protocol_differences(a: Mapping[str, Any], b: Mapping[str, Any], score: str | None = None) -> list[str]:
    """Return the facts that differ between two protocols, given as dicts: "seed: 0 and 1".

    Numbers are comparable if there are none. A score that only one of them has does not make the others incomparable.
    With the name of one `score`, such as "frechet", the settings of the others do not count.
    """
    a, b = (_flatten_score_settings(protocol, score) for protocol in (a, b))
    facts = [field.name for field in fields(EvaluationProtocol)]
    other = sorted((a.keys() | b.keys()) - set(facts))
    names = [name for name in (*facts, *other) if not name.startswith(SCORE_KEY_PREFIX) or (name in a and name in b)]
    return [f"{name}: {a.get(name)} and {b.get(name)}" for name in names if a.get(name) != b.get(name)]


def _flatten_score_settings(protocol: Mapping[str, Any], score: str | None) -> dict[str, Any]:
    """Give the settings of each score an entry of its own, `scores.kid`; older runs, which state no arithmetic, used
    float32."""
    facts: dict[str, Any] = {"arithmetic": "float32"} | dict(to_json_values(protocol))
    scores = facts.pop("scores", {})
    scores = {name: settings for name, settings in scores.items() if score in (None, name)}
    return facts | {f"{SCORE_KEY_PREFIX}{name}": settings for name, settings in scores.items()}


def get_library_versions() -> dict[str, str]:
    """Return the versions of the libraries that scores depend on."""
    return {name: metadata.version(name) for name in PROTOCOL_LIBRARIES}


def format_scores_and_protocol(scores: Mapping[str, float], protocol: Mapping[str, Any]) -> str:
    """Return the scores, and below them the protocol, one to a line."""
    numbers = [f"{name:<24}{value:.6g}" for name, value in scores.items()]
    facts = [f"  {name:<22}{format_protocol_value(value)}" for name, value in protocol.items()]
    return "\n".join([*numbers, "measured with", *facts])


def format_protocol_value(value: Any) -> str:
    """Return a fact of the protocol as text, a digest as its first digits."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_protocol_value(inner)}".strip() for name, inner in value.items())
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "-" if value is None else str(value)
