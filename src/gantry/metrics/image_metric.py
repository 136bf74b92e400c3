"""Scores as a torchmetrics Metric, for the training loop or script of another project."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor

from gantry.features.arithmetic import ARITHMETIC_TYPES
from gantry.features.extractor import Extractor, ExtractorOutput, check_validity, count_invalid_rows, extract_features
from gantry.metrics.float64_metric import Float64Metric
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.score import Requirement, Score
from gantry.metrics.statistics import FeatureSet, Statistics, make_empty_moments, merge_moments, update_moments_


class ImageMetric(Float64Metric):
    """Scores of generated images against real ones: `update(images, real=...)`, then `compute() -> {name: value}`.

    Images are uint8 [N, 1 or 3, H, W] or float in [-1, 1], not in [0, 1]. The scores share one pass through the
    extractor. The extractor follows the images to their device and is no submodule: it is not trained, cast or saved
    with the module that has the metric. `kwargs` are those of `torchmetrics.Metric`, without dist_sync_on_step.

    With several ranks every score is that of the images of all ranks. The subsets of KID, the splits of the Inception
    Score and the blocks of FID-infinity depend on the ranks that saw the images, as they do on a seed.
    """

    extractor: Extractor
    num_images: Tensor
    num_invalid: Tensor

    def __init__(self, extractor: Extractor, *scores: Score, arithmetic: str = "float32", **kwargs: Any) -> None:
        if kwargs.get("dist_sync_on_step"):
            raise ValueError("dist_sync_on_step must be false (forward returns the scores of its own rank), got true")
        super().__init__(**kwargs)
        self.__dict__["extractor"] = extractor  # nn.Module's own would make it a submodule
        self.scores, self.arithmetic = scores, arithmetic
        self.requirements = reduce(or_, (score.requirements for score in scores), Requirement.STATISTICS)
        _check_image_metric(extractor, scores, self.requirements, arithmetic)
        for name in ("num_images", "num_invalid"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("real_moments", "fake_moments"):
            self.add_state(name, make_empty_moments(extractor.dim), dist_reduce_fx=merge_moments)
        if extractor.num_classes:
            for name, zeros in PredictionSums(extractor.num_classes).metric_state.items():
                self.add_state(f"fake_{name}", zeros, dist_reduce_fx="sum")
        self.empty_rows = _make_empty_rows(extractor.dim, self.requirements)
        for name in self.empty_rows:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self, images: Tensor | ExtractorOutput, real: bool, labels: Tensor | None = None, held_out: bool = False
    ) -> None:
        """Add real or generated images, or the output of the extractor for them.

        Scores per class need the classes of the images, `labels` int64 [N]. `held_out` marks real images that are not
        used for training, to which memorisation compares.
        """
        features, probabilities = self._extract(images)
        which = "held_out" if held_out else "real" if real else "fake"
        self.num_images += len(features)
        self.num_invalid += count_invalid_rows(features).to(self.device)
        if which != "held_out":
            update_moments_(getattr(self, f"{which}_moments"), features)
        if which == "fake" and probabilities is not None:
            self._get_predictions().update(probabilities)
        self._append_rows(f"{which}_features", features)
        self._append_rows(f"{which}_labels", labels)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores of all images, float64 [] each.

        Raises ValueError for images that are not finite or far out of range, and if a score needs more images.
        """
        check_validity(self.num_invalid, int(self.num_images))
        real, fake = self._make_feature_set("real"), self._make_feature_set("fake")
        for score in self.scores:
            for kind, count, fewest in self._count_images(score, real, fake):
                if count < fewest:
                    raise ValueError(f"{type(score).__name__} needs at least {fewest} {kind} images, got {count}")
        return self._compute_scores(self.scores, real, fake)

    def forward(
        self, images: Tensor | ExtractorOutput, real: bool, labels: Tensor | None = None, held_out: bool = False
    ) -> dict[str, Tensor]:
        """Add images as `update` does; return the scores of a batch of generated ones against all real ones so far.

        They are those of this rank alone. Scores that need more images are left out, for real images all of them.
        """
        output = self._extract(images)
        self.update(output, real, labels, held_out)
        return {} if real or held_out else self._score_batch(output, labels)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Merge the states of all ranks; every rank must call it, also one without images."""
        if not self._is_synced:
            for name in self.empty_rows:  # torchmetrics takes an empty list for float [0], which does not gather
                setattr(self, name, [self._get_rows(name)])
        super().sync(*args, **kwargs)

    def _extract(self, images: Tensor | ExtractorOutput) -> ExtractorOutput:
        if isinstance(images, ExtractorOutput):
            return images
        self.extractor.to(images.device)
        return extract_features(self.extractor, images, self.arithmetic)

    def _append_rows(self, name: str, rows: Tensor | None) -> None:
        if name not in self.empty_rows:
            return
        if rows is None:
            raise ValueError(f"labels must be given for {', '.join(type(score).__name__ for score in self.scores)}")
        getattr(self, name).append(rows.to(self.device))

    def _get_rows(self, name: str) -> Tensor:
        """Return the rows of a list state, one tensor; after a sync it is one already."""
        rows = getattr(self, name)
        empty = self.empty_rows[name].to(self.device)
        return rows if isinstance(rows, Tensor) else torch.cat([empty, *(part.to(self.device) for part in rows)])

    def _get_predictions(self) -> PredictionSums:
        """Return the sums of the generated images' class probabilities; they share memory with the states."""
        sums = PredictionSums(self.extractor.num_classes, self.device)
        for name in sums.metric_state:
            setattr(sums, name, getattr(self, f"fake_{name}"))
        return sums

    def _make_feature_set(self, which: str) -> FeatureSet:
        statistics = Statistics(self.extractor.dim, self.device)
        statistics.moments = getattr(self, f"{which}_moments")
        rows = {name: self._get_rows(name).cpu() for name in self.empty_rows}
        return FeatureSet(
            statistics,
            self._get_predictions() if self.extractor.num_classes and which == "fake" else None,
            features=rows.get(f"{which}_features"),
            labels=rows.get(f"{which}_labels"),
            held_out_features=rows.get("held_out_features") if which == "real" else None,
        )

    def _score_batch(self, output: ExtractorOutput, labels: Tensor | None) -> dict[str, Tensor]:
        check_validity(self.num_invalid, int(self.num_images))
        batch = ImageMetric(self.extractor, *self.scores, arithmetic=self.arithmetic).to(self.device)
        batch.update(output, False, labels)
        real, fake = self._make_feature_set("real"), batch._make_feature_set("fake")
        ready = [
            score
            for score in self.scores
            if all(count >= fewest for _, count, fewest in self._count_images(score, real, fake))
        ]
        return self._compute_scores(ready, real, fake)

    def _count_images(self, score: Score, real: FeatureSet, fake: FeatureSet) -> list[tuple[str, int, int]]:
        """Return (kind, number, number that the score needs) of each kind of images."""
        fewest = score.minimum_samples(self.extractor.dim)
        held_out = 0 if real.held_out_features is None else len(real.held_out_features)
        return [
            ("generated", fake.statistics.n, fewest.samples),
            ("real", real.statistics.n, fewest.real),
            ("held-out", held_out, fewest.held_out),
        ]

    def _compute_scores(self, scores: Sequence[Score], real: FeatureSet, fake: FeatureSet) -> dict[str, Tensor]:
        values = {
            name: value
            for score in scores
            for name, value in zip(score.metric_names(self.extractor.name), score(real, fake))
        }
        return {name: torch.tensor(value, dtype=torch.float64, device=self.device) for name, value in values.items()}


def _make_empty_rows(dim: int, requirements: Requirement) -> dict[str, Tensor]:
    """Return the list states without images, by name."""
    features, labels = torch.empty(0, dim), torch.empty(0, dtype=torch.int64)
    rows: dict[str, Tensor] = {}
    if Requirement.FEATURES in requirements:
        rows |= {"real_features": features, "fake_features": features}
    if Requirement.LABELS in requirements:
        rows |= {"real_labels": labels, "fake_labels": labels}
    if Requirement.HELD_OUT in requirements:
        rows |= {"held_out_features": features}
    return rows


def _check_image_metric(
    extractor: Extractor, scores: Sequence[Score], requirements: Requirement, arithmetic: str
) -> None:
    if not scores:
        raise ValueError("scores must be at least one, got none")
    if Requirement.CLASSIFIER in requirements and not extractor.num_classes:
        raise ValueError(f"extractor must classify for these scores, got {extractor.name}, which does not")
    if arithmetic not in ARITHMETIC_TYPES:
        raise ValueError(f"arithmetic must be one of {', '.join(ARITHMETIC_TYPES)}, got {arithmetic}")
