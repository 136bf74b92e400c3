"""Evaluate one set of samples: scores with their protocol, as they are stored."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from gantry.data.class_names import match_class_names
from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import SampleSource
from gantry.evaluation.protocol import EvaluationProtocol, format_scores_and_protocol
from gantry.evaluation.reference import Reference
from gantry.metrics.score import Requirement
from gantry.metrics.statistics import FeatureSet

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """Scores with the protocol they were measured by.

    `features` are those of the samples, for figures; they are not stored. `turn` and `kimg` are those of the
    generator, None where they are not known.
    """

    scores: dict[str, float]
    protocol: EvaluationProtocol
    features: FeatureSet = field(repr=False, compare=False)
    turn: int | None = None
    kimg: float | None = None

    def __str__(self) -> str:
        return format_scores_and_protocol(self.scores, self.protocol.to_dict())

    def with_checkpoint_rule(self, rule: str) -> Self:
        """Return the same scores as those of a checkpoint chosen by `rule`."""
        return replace(self, protocol=replace(self.protocol, checkpoint=rule))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as summary.json and scores.json store it."""
        progress = {} if self.turn is None else {"turn": self.turn, "kimg": self.kimg}
        return progress | {"scores": self.scores, "protocol": self.protocol.to_dict()}


def score_samples(
    source: SampleSource, evaluation: Evaluation, reference: Reference, real: FeatureSet, device: torch.device
) -> Entry:
    """Score samples against real images; every process must call it, and gets the same entry.

    `real` is `evaluation.extract_real(reference, device)`, which callers keep for the next samples.
    """
    labels = match_sample_classes(source, reference) if Requirement.LABELS in evaluation.requirements else None
    fake = evaluation.extract_samples(source.images, device, labels, source.facts.shape, source.unlabelled)
    protocol = evaluation.build_protocol(reference, source.facts)
    return Entry(evaluation.compute_scores(real, fake), protocol, fake, source.facts.turn, source.facts.kimg)


def warn_of_other_shape(shape: tuple[int, ...], reference: Reference) -> None:
    """Log that samples and real images differ in size or channels, which scores cannot tell from their content."""
    if shape != reference.shape and collectives.rank() == 0:
        log.warning(
            "samples are %s and real images (%s) %s: scores also measure the difference between these shapes. Compare "
            "images of one shape",
            format_shape(shape),
            reference.name,
            format_shape(reference.shape),
        )


def format_shape(shape: tuple[int, ...]) -> str:
    """Return `3x32x32`."""
    return "x".join(map(str, shape))


def match_sample_classes(source: SampleSource, reference: Reference) -> Tensor | None:
    """Return the classes of samples as the real images count them, matched by name: int64 [num_samples].

    Raises UserError, with both lists, for names that do not match.
    """
    if source.labels is None or not source.class_names or source.class_names == reference.class_names:
        return source.labels
    try:
        indices = match_class_names(source.class_names, reference.class_names)
    except ValueError as error:
        raise UserError(f"samples must be of the classes of {reference.name} for scores per class, {error}") from None
    return torch.tensor(indices)[source.labels]
