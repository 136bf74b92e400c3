"""Scores of the averaged generator while it trains."""

import logging
import math
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs, get_datamodule
from gantry.errors import user_errors
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import describe_samples, make_sample_source
from gantry.evaluation.protocol import find_protocol_differences
from gantry.evaluation.reference import Reference, build_reference
from gantry.evaluation.run import score_samples
from gantry.loggers.dispatch import log_config, log_metrics, log_summary
from gantry.metrics.score import Requirement
from gantry.metrics.statistics import FeatureSet
from gantry.nets.contract import Generator
from gantry.runs.summary import write_summary
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class Evaluator(GanCallback):
    """Scores of G_ema every `every` turns and at the end, computed by all processes together.

    They are left in `gan.scores` with their turn in `gan.scored_at`, and in `gan.improved_at` if they are the best so
    far; logged as `score/<name>`, and written to summary.json in the run's folder `path` with their protocol: `last`,
    `best` by the evaluation's monitored score, and with `at_start` those of the untrained generator as `start`. Comes
    before the callbacks that look at scores. An evaluation without scores is never made.
    """

    state_key = "Evaluate"  # in checkpoints: the name that the class once had
    reference: Reference

    def __init__(self, evaluation: Evaluation, every: int, path: str, at_start: bool = True) -> None:
        self.evaluation, self.every, self.path, self.at_start = evaluation, every, Path(path), at_start
        self.best_entry: dict[str, Any] = {}
        self.real_features: FeatureSet | None = None

    def on_setup(self, trainer: Trainer, gan: GAN) -> None:
        if self.evaluation.scores:
            with user_errors():
                self.reference = build_reference(get_datamodule(trainer), self.evaluation.reference)
                self.evaluation.check_requirements(self.reference)
                if self.evaluation.report is not None:  # now, and not at the end of a long run
                    self.evaluation.report_evaluation.check_requirements(self.reference, "metrics.report.num_samples")
                check_conditional(self.evaluation.report_evaluation, gan.G_ema)

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        if not self.evaluation.scores:
            return
        log_config(trainer.loggers, {"protocol": self.make_protocol(gan, "last")}, {})
        unlike = (
            find_protocol_differences(self.best_entry["protocol"], self.make_protocol(gan, self.selection_rule))
            if self.best_entry
            else []
        )
        if unlike:
            log.warning("the best score so far is forgotten, it was measured otherwise: %s", "; ".join(unlike))
            self.best_entry = {}
        if gan.turn == 0 and self.at_start:
            self.evaluate(trainer, gan)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.is_due(self.every):
            self.evaluate(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        if gan.scored_at != gan.turn and not gan.interrupt_signal:
            self.evaluate(trainer, gan)

    def evaluate(self, trainer: Trainer, gan: GAN) -> None:
        """Score G_ema as it is now; every process must call it."""
        if not self.evaluation.scores:
            return
        with user_errors():
            self.real_features = self.real_features or self.evaluation.extract_real(self.reference, gan.device)
            which = "last" if gan.turn else "start"
            source = make_sample_source(self.evaluation, gan.G_ema, which, gan.device, gan.turn, gan.kimg)
            entry = score_samples(source, self.evaluation, self.reference, self.real_features, gan.device)
        gan.scores, gan.scored_at = entry.scores, gan.turn
        entries = {which: entry.to_dict()}
        if gan.turn and self.is_improvement(gan.scores):
            gan.improved_at = gan.turn
            entries["best"] = self.best_entry = entry.with_checkpoint_rule(self.selection_rule).to_dict()
        if trainer.is_global_zero:
            self.record_scores(trainer, gan, entries)

    @property
    def selection_rule(self) -> str:
        """How the best checkpoint is chosen."""
        evaluation = self.evaluation
        samples = f"{evaluation.num_samples} samples of seed {evaluation.seed}"
        return f"best {evaluation.monitor} ({evaluation.mode}) on {samples}, every {self.every} turns"

    def make_protocol(self, gan: GAN, checkpoint: str) -> dict[str, Any]:
        """Return the protocol of the scores of a checkpoint that was chosen by the rule `checkpoint`."""
        facts = describe_samples(self.evaluation, gan.G_ema, checkpoint)
        return self.evaluation.build_protocol(self.reference, facts).to_dict()

    def is_improvement(self, scores: dict[str, float]) -> bool:
        """Whether the monitored score is the best so far; NaN never is."""
        name, sign = self.evaluation.monitor, {"min": 1, "max": -1}[self.evaluation.mode]
        assert name is not None
        before = self.best_entry.get("scores", {}).get(name, sign * math.inf)
        return sign * scores[name] < sign * before

    def record_scores(self, trainer: Trainer, gan: GAN, entries: dict[str, dict[str, Any]]) -> None:
        """Write the scores wherever they belong."""
        said = ", ".join(f"{name} {value:.4g}" for name, value in gan.scores.items())
        log.info("turn %d: %s", gan.turn, said)
        numbers = {f"score/{name}": value for name, value in gan.scores.items()}
        log_metrics(trainer.loggers, numbers, gan.turn, gan.kimg)
        for place, entry in entries.items():
            log_summary(trainer.loggers, {f"{place}/{name}": v for name, v in entry["scores"].items()})
        write_summary(self.path, entries)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best_entry}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_entry = state["best"]


def check_conditional(evaluation: Evaluation, G: Generator) -> None:
    """Raise ValueError when a score per class is asked of a generator that is told none."""
    if Requirement.LABELS in evaluation.requirements and not G.num_classes:
        raise ValueError("model.conditional must be true for scores per class, got false")
