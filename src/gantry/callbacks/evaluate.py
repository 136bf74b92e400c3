"""Score the averaged generator during training, and decide which checkpoint is the best."""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs, get_datamodule
from gantry.callbacks.health import HealthCheck
from gantry.errors import UserError
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import describe_samples, make_sample_source
from gantry.evaluation.protocol import EvaluationProtocol, find_protocol_differences
from gantry.evaluation.reference import Reference, build_reference
from gantry.evaluation.run import Entry, score_samples, warn_of_other_shape
from gantry.loggers.dispatch import log_config, log_metrics, log_summary
from gantry.metrics.score import Requirement
from gantry.metrics.statistics import FeatureSet
from gantry.nets.contract import Generator
from gantry.runs.summary import write_summary
from gantry.training.gan import GAN

log = logging.getLogger(__name__)
DETAIL_NAME = re.compile(r"_(std|low|high|class_\d+)$")  # of scores that would fill a line of the console


class Evaluator(GanCallback):
    """Scores G_ema every `every` turns and at the end, on all ranks together.

    The scores and their turn are kept in `gan.run_state`, logged as `score/<name>`, and written with their protocol to
    summary.json in the run folder `path`: as `last`, as `best` if the monitored score improved, and as `start` for the
    untrained generator (with `at_start`). Without scores in the evaluation, nothing happens.
    """

    state_key = "Evaluate"  # in checkpoints: the name that the class once had
    after = (HealthCheck,)
    reference: Reference

    def __init__(self, evaluation: Evaluation, every: int, path: str, at_start: bool = True) -> None:
        self.evaluation, self.every, self.path, self.at_start = evaluation, every, Path(path), at_start
        self.best_entry: dict[str, Any] = {}
        self.real_features: FeatureSet | None = None

    def on_setup(self, trainer: Trainer, gan: GAN) -> None:
        if self.evaluation.scores:
            self.reference = build_reference(get_datamodule(trainer), self.evaluation.reference)
            self.evaluation.check_requirements(self.reference)
            if self.evaluation.report is not None:  # now, not at the end of a long run
                self.evaluation.report_evaluation.check_requirements(self.reference, "metrics.report.num_samples")
            check_conditional(self.evaluation.report_evaluation, gan.G_ema)
            warn_of_other_shape(tuple(gan.G_ema.shape), self.reference)

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        if not self.evaluation.scores:
            return
        log_config(trainer.loggers, {"protocol": self.make_protocol(gan, "last").to_dict()}, {})
        self.check_best_entry(gan)
        if gan.turn == 0 and self.at_start:
            self.evaluate(trainer, gan)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.is_due(self.every):
            self.evaluate(trainer, gan)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        if gan.run_state.scored_at != gan.turn and not gan.run_state.interrupt_signal:
            self.evaluate(trainer, gan)

    def check_best_entry(self, gan: GAN) -> None:
        """Discard the best scores of a resumed run if the monitored one was measured with another protocol."""
        if not self.best_entry:
            return
        protocol = self.make_protocol(gan, self.selection_rule).to_dict()
        if differences := find_protocol_differences(
            self.best_entry["protocol"], protocol, self.evaluation.monitored_score
        ):
            log.warning("discarding the best score: it was measured with another protocol: %s", "; ".join(differences))
            self.best_entry = {}

    def evaluate(self, trainer: Trainer, gan: GAN) -> None:
        """Score G_ema as it is now; every rank must call it."""
        if not self.evaluation.scores:
            return
        self.real_features = self.real_features or self.evaluation.extract_real(self.reference, gan.device)
        which = "last" if gan.turn else "start"
        classes = get_datamodule(trainer).classes
        source = make_sample_source(self.evaluation, gan.G_ema, which, gan.device, gan.turn, gan.kimg, classes)
        entry = score_samples(source, self.evaluation, self.reference, self.real_features, gan.device)
        self.record_entry(trainer, gan, which, entry)

    def record_entry(self, trainer: Trainer, gan: GAN, which: str, entry: Entry) -> None:
        """Keep scores in the run state and log them; every rank must call it."""
        gan.run_state.scores, gan.run_state.scored_at = entry.scores, gan.turn
        entries = {which: entry.to_dict()}
        if gan.turn and self.is_improvement(entry.scores):
            gan.run_state.improved_at = gan.turn
            entries["best"] = self.best_entry = entry.with_checkpoint_rule(self.selection_rule).to_dict()
        if trainer.is_global_zero:
            log.info("turn %d: %s", gan.turn, format_scores(entry.scores))
            numbers = {f"score/{name}": value for name, value in entry.scores.items()}
            log_metrics(trainer.loggers, numbers, gan.turn, gan.kimg)
            for which in entries:
                log_summary(trainer.loggers, {f"{which}/{name}": value for name, value in entry.scores.items()})
            write_summary(self.path, entries)

    @property
    def selection_rule(self) -> str:
        """Return the rule by which the best checkpoint is chosen."""
        evaluation = self.evaluation
        samples = f"{evaluation.num_samples} samples of seed {evaluation.seed}"
        return f"best {evaluation.monitor} ({evaluation.mode}) on {samples}, every {self.every} turns"

    def make_protocol(self, gan: GAN, checkpoint: str) -> EvaluationProtocol:
        """Return the protocol of scores of a checkpoint that was chosen by the rule `checkpoint`."""
        facts = describe_samples(self.evaluation, gan.G_ema, checkpoint)
        return self.evaluation.build_protocol(self.reference, facts)

    def is_improvement(self, scores: dict[str, float]) -> bool:
        """Return True if the monitored score is the best so far; NaN never is."""
        name, sign = self.evaluation.monitor, {"min": 1, "max": -1}[self.evaluation.mode]
        assert name is not None
        before = self.best_entry.get("scores", {}).get(name, sign * math.inf)
        return sign * scores[name] < sign * before

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best_entry}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        best = state["best"]
        if not isinstance(best, dict) or (best and not self.is_scored_entry(best)):
            raise ValueError(f"best must be scores and their protocol, got {best}")
        self.best_entry = best

    def is_scored_entry(self, entry: Mapping[str, Any]) -> bool:
        """Return True for an entry with scores and their protocol, as runs write it."""
        scores, protocol = entry.get("scores"), entry.get("protocol")
        is_scores = isinstance(scores, dict) and all(isinstance(value, int | float) for value in scores.values())
        return is_scores and isinstance(protocol, dict) and type(entry.get("turn")) is int


def check_conditional(evaluation: Evaluation, G: Generator) -> None:
    """Raise UserError if a score per class is asked of an unconditional generator."""
    if Requirement.LABELS in evaluation.requirements and not G.num_classes:
        raise UserError("model.conditional must be true for scores per class, got false")


def format_scores(scores: dict[str, float]) -> str:
    """Return `fd_digits 0.82, cs_digits 9.57`, without deviations, interval ends and single classes where others are.

    metrics.csv, summary.json and the loggers have them all.
    """
    headlines = {name: value for name, value in scores.items() if not DETAIL_NAME.search(name)} or scores
    return ", ".join(f"{name} {value:.4g}" for name, value in headlines.items())
