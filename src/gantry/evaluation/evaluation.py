"""An evaluation: the samples, the real images, the extractor and the scores."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError, user_errors
from gantry.evaluation.feature_pass import FeaturePass, ImageSource
from gantry.evaluation.protocol import EvaluationProtocol, SampleFacts, get_library_versions
from gantry.evaluation.reference import Reference, check_score_requirements, extract_reference
from gantry.features.arithmetic import ARITHMETIC_TYPES
from gantry.features.extractor import Extractor, PointExtractor, check_channels, describe_preprocessing
from gantry.metrics.score import MinimumSamples, Requirement, Score
from gantry.metrics.statistics import FeatureSet
from gantry.sampling.batchnorm_mode import BatchNormMode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the final evaluation of a run that differ: more samples, of other latents, and more scores."""

    num_samples: int
    seed: int
    scores: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Scores of `num_samples` samples, of the latents of `seed`, against real images.

    `reference` names the real images: "train" or "test", a split of the data set, or the path of a folder, .zip or
    .npz. `extractor` is called when features are first needed, with `weights` (a file) if that is given; without an
    extractor samples are points. `batchnorm` is a `BatchNormMode` of G, `arithmetic` that of the extractor.

    This is the cheap evaluation that selects a checkpoint by the score `monitor`, whose smallest or largest value
    (`mode`) is the best; `report` has the settings of the evaluation at the end of a run. Neither these three nor
    `batch_size` change a score. The statistics of real images are stored in the folder `cache`.
    """

    scores: Mapping[str, Score]
    num_samples: int
    monitor: str | None
    mode: Literal["min", "max"]
    seed: int = 0
    reference: str = "train"
    extractor: Callable[..., Extractor] | None = field(default=None, repr=False)
    weights: str | None = None
    batchnorm: Literal["running", "standing", "batch"] = "running"
    arithmetic: Literal["float32", "tf32", "bf16"] = "float32"
    batch_size: int = 250
    cache: str | None = None
    report: ReportSettings | None = None

    def __post_init__(self) -> None:
        takes_file = self.extractor is not None and "weights" in inspect.signature(self.extractor).parameters
        if self.weights is not None and not takes_file:
            raise ValueError(f"metrics.weights must be null for this choice of metrics, got {self.weights}")
        if self.batchnorm not in list(BatchNormMode):
            raise ValueError(f"metrics.batchnorm must be one of {', '.join(BatchNormMode)}, got {self.batchnorm}")
        if self.arithmetic not in ARITHMETIC_TYPES:
            raise ValueError(f"metrics.arithmetic must be one of {', '.join(ARITHMETIC_TYPES)}, got {self.arithmetic}")
        if self.report is not None and self.report.seed == self.seed:
            raise ValueError(f"metrics.report.seed must differ from metrics.seed, which selects, got {self.seed}")

    @property
    def batchnorm_mode(self) -> BatchNormMode:
        """Return the mode in which BatchNorm normalises."""
        return BatchNormMode(self.batchnorm)

    @property
    def report_evaluation(self) -> "Evaluation":
        """Return the final evaluation of a run."""
        if self.report is None:
            return self
        report = self.report
        scores = {**self.scores, **report.scores}
        full = replace(self, num_samples=report.num_samples, seed=report.seed, scores=scores, report=None)
        if "feature_extractor" in self.__dict__:
            full.__dict__["feature_extractor"] = self.feature_extractor  # so that a large extractor is loaded only once
        return full

    @cached_property
    def feature_extractor(self) -> Extractor:
        """Return the extractor, built at first use."""
        if self.extractor is None:
            return PointExtractor()
        with user_errors():
            return self.extractor(weights=self.weights) if self.weights is not None else self.extractor()

    @property
    def monitored_score(self) -> str | None:
        """Return the name of the score that `monitor` is a number of; None without one."""
        extractor = self.feature_extractor.name
        return next((name for name, s in self.scores.items() if self.monitor in s.metric_names(extractor)), None)

    @property
    def metric_names(self) -> list[str]:
        """Return the names of all scores."""
        return [name for score in self.scores.values() for name in score.metric_names(self.feature_extractor.name)]

    @property
    def requirements(self) -> Requirement:
        """Return the requirements of all scores together."""
        return reduce(or_, (score.requirements for score in self.scores.values()), Requirement.STATISTICS)

    def check_requirements(self, reference: Reference, key: str = "metrics.num_samples") -> None:
        """Raise UserError unless all scores can be computed with these real images, the monitored one among them.

        `key` is the configuration key of the number of samples.
        """
        points = len(reference.shape) == 1
        if points != (self.extractor is None):
            rule = "modes for points" if points else "an extractor's for images (small, inception, dinov2)"
            raise UserError(f"metrics must be {rule}, got one that cannot score {reference.name}")
        if not points:
            check_channels(self.feature_extractor, reference.shape[0], f"the images of {reference.name}")
        if self.monitor not in self.metric_names:
            raise UserError(f"metrics.monitor must be one of {', '.join(self.metric_names)}, got {self.monitor}")
        for name, score in self.scores.items():
            fewest = score.minimum_samples(self.feature_extractor.dim)
            if self.num_samples < fewest.samples:
                rule = f"at least {fewest.samples} for the score {name} of {self.feature_extractor.dim} features"
                raise UserError(f"{key} must be {rule}, got {self.num_samples}")
            if Requirement.CLASSIFIER in score.requirements and not self.feature_extractor.num_classes:
                raise UserError(
                    f"metrics.scores.{name} must be left out: {self.feature_extractor.name} classifies nothing"
                )
            check_score_requirements(reference, name, score.requirements, fewest)
            self._warn_of_few_samples(name, fewest, key)

    def extract_real(self, reference: Reference, device: torch.device) -> FeatureSet:
        """Extract the features that the scores need from the real images; every process must call it."""
        cache = None if self.cache is None else Path(self.cache)
        return extract_reference(reference, self.requirements, self._make_feature_pass(device), cache)

    def extract_samples(
        self,
        samples: ImageSource,
        device: torch.device,
        labels: Tensor | None = None,
        shape: tuple[int, ...] | None = None,
        unlabelled: str = "one",
    ) -> FeatureSet:
        """Extract the features that the scores need from samples(start, stop) of the classes `labels` [num_samples].

        The processes share the batches; all must call it, and all get the same. `shape` is that of one sample,
        `unlabelled` says why there are no classes.
        """
        if Requirement.LABELS in self.requirements and labels is None:
            raise UserError(
                "metrics must be without scores per class for samples without classes (model.conditional=true has "
                f"them, as have folders by class, dataset.json and arr_1 of an .npz), got {unlabelled}"
            )
        feature_pass = self._make_feature_pass(device).bound_memory(shape)
        return replace(feature_pass.extract(samples, self.num_samples), labels=labels)

    def compute_scores(self, real: FeatureSet, fake: FeatureSet) -> dict[str, float]:
        """Compute the scores; every process must call it, and gets the numbers of rank 0."""
        values = [value for score in self.scores.values() for value in score(real, fake)]
        shared = torch.tensor(values, dtype=torch.float64, device=fake.statistics.mean.device)
        collectives.all_reduce_sum_(shared if collectives.rank() == 0 else shared.zero_())
        return dict(zip(self.metric_names, shared.tolist()))

    def build_protocol(self, reference: Reference, samples: SampleFacts) -> EvaluationProtocol:
        """Return the protocol that the scores are measured by."""
        return EvaluationProtocol(
            extractor=self.feature_extractor.name,
            extractor_digest=self.feature_extractor.digest,
            resizer=describe_preprocessing(self.feature_extractor, reference.shape, samples.shape),
            arithmetic=self.arithmetic,
            real=reference.name,
            real_split=reference.split,
            real_count=reference.count,
            real_digest=reference.digest,
            shape=samples.shape,
            num_samples=self.num_samples,
            seed=None if samples.generator is None else self.seed,
            generator=samples.generator,
            batchnorm=samples.batchnorm,
            checkpoint=samples.checkpoint,
            scores={name: _get_score_settings(score) for name, score in self.scores.items()},
            versions=get_library_versions(),
            samples_converted=samples.conversions,
            real_converted=reference.conversions,
        )

    def _warn_of_few_samples(self, name: str, fewest: MinimumSamples, key: str) -> None:
        if self.num_samples < fewest.advised and collectives.rank() == 0:
            text = "the score %s of %d samples says little: %s. Score %d or more (%s)"
            log.warning(text, name, self.num_samples, fewest.reason, fewest.advised, key)

    def _make_feature_pass(self, device: torch.device) -> FeaturePass:
        self.feature_extractor.to(device)
        return FeaturePass(
            self.feature_extractor, self.batch_size, Requirement.FEATURES in self.requirements, device, self.arithmetic
        )


def _get_score_settings(score: Score) -> dict[str, Any]:
    return asdict(score) if is_dataclass(score) and not isinstance(score, type) else {}
