"""One evaluation: which samples are compared with which real images, in which features, by which scores."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gantry import world
from gantry.metrics.cache import remembered
from gantry.metrics.collected import Collected, Images, Reader
from gantry.metrics.features import Extractor, Points
from gantry.metrics.protocol import Protocol, Samples, versions
from gantry.metrics.score import Score
from gantry.metrics.statistics import Statistics, float64_device

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """The `count` real images that samples are compared with; `digest` is a hash of what they are.

    images(start, stop) gives uint8 [n, *shape], or float for points; `name` and `split` are for people.
    """

    name: str
    split: str
    digest: str
    count: int
    shape: tuple[int, ...]
    images: Images


@dataclass(frozen=True)
class Evaluation:
    """Scores of `num_samples` samples, of the latents of `seed`, against a split of the real images.

    `extractor` is called when features are first needed, with `weights` (a file) if that is given; without an
    extractor samples are points. `monitor` names the score that selects the best checkpoint, `mode` says
    whether less or more is better; they change no number, nor does `batch_size`. The statistics of real
    images are kept in the folder `cache`.
    """

    scores: Mapping[str, Score]
    num_samples: int
    monitor: str | None
    mode: Literal["min", "max"]
    seed: int = 0
    reference: Literal["train", "test"] = "train"
    extractor: Callable[..., Extractor] | None = field(default=None, repr=False)
    weights: str | None = None
    batch_size: int = 250
    cache: str | None = None

    def __post_init__(self) -> None:
        takes_file = self.extractor is not None and "weights" in inspect.signature(self.extractor).parameters
        if self.weights is not None and not takes_file:
            raise ValueError(f"metrics.weights must be null for this choice of metrics, got {self.weights}")

    @cached_property
    def features(self) -> Extractor:
        """The extractor, built at first use."""
        if self.extractor is None:
            return Points()
        return self.extractor(weights=self.weights) if self.weights is not None else self.extractor()

    @property
    def names(self) -> list[str]:
        """What the scores are called."""
        return [name for score in self.scores.values() for name in score.names(self.features.name)]

    @property
    def keep_features(self) -> bool:
        """Whether a score needs the features themselves, and not only sums."""
        return any(score.keeps_features for score in self.scores.values())

    def check(self, reference: Reference) -> None:
        """Raise ValueError unless images meet an extractor and the monitored score is one of those made."""
        points = len(reference.shape) == 1
        if points != (self.extractor is None):
            rule = "modes for points" if points else "an extractor's for images (small, inception)"
            raise ValueError(f"metrics must be {rule}, got one that cannot score {reference.name}")
        if self.monitor not in self.names:
            raise ValueError(f"metrics.monitor must be one of {', '.join(self.names)}, got {self.monitor}")

    def read_real(self, reference: Reference, device: torch.device) -> Collected:
        """What the scores need to know of the real images; every process must call it."""
        facts = {
            "extractor": self.features.name,
            "extractor_digest": self.features.digest,
            "resizer": _resizer(self.features),
            "real_digest": reference.digest,
            "real_count": reference.count,
            "keep_features": self.keep_features,
            "torch": torch.__version__,
        }
        folder = None if self.cache is None else Path(self.cache)
        tensors = remembered(folder, facts, lambda: self._collect_real(reference, device), device)
        return Collected(Statistics.from_tensors(tensors), features=tensors.get("features"))

    def __call__(self, samples: Images, real: Collected, device: torch.device) -> dict[str, float]:
        """The scores of samples(start, stop), see `Reader.collect`; every process must call it.

        Batches are dealt out to the processes; all of them get the numbers of process 0.
        """
        fake = self._reader(device).collect(samples, self.num_samples)
        values = [value for score in self.scores.values() for value in score(real, fake)]
        agreed = torch.tensor(values, dtype=torch.float64, device=float64_device(device))
        world.sum_(agreed if world.rank() == 0 else agreed.zero_())
        return dict(zip(self.names, agreed.tolist()))

    def protocol(self, reference: Reference, samples: Samples) -> Protocol:
        """How the scores are measured."""
        return Protocol(
            extractor=self.features.name,
            extractor_digest=self.features.digest,
            resizer=_resizer(self.features),
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
            scores={name: _settings(score) for name, score in self.scores.items()},
            versions=versions(),
        )

    def _reader(self, device: torch.device) -> Reader:
        self.features.to(device)
        return Reader(self.features, self.batch_size, self.keep_features, device)

    def _collect_real(self, reference: Reference, device: torch.device) -> dict[str, Tensor]:
        log.info(
            "reading %d real images of %s with the extractor %s",
            reference.count,
            reference.name,
            self.features.name,
        )
        read = self._reader(device).collect(reference.images, reference.count)
        kept = {} if read.features is None else {"features": read.features}
        return read.statistics.tensors() | kept


def _settings(score: Score) -> dict[str, Any]:
    return asdict(score) if is_dataclass(score) and not isinstance(score, type) else {}


def _resizer(extractor: Extractor) -> str:
    return str(getattr(extractor, "resizer", "none"))
