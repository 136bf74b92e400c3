"""The final scores of a run: its best and its last generator, scored with the full protocol at the end."""

import copy
import logging
import time
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.checkpoints import CheckpointWriter
from gantry.callbacks.evaluate import Evaluator, format_scores
from gantry.callbacks.export import GeneratorExporter
from gantry.callbacks.gan_callback import GanCallback, get_callbacks, get_datamodule
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import make_sample_source
from gantry.evaluation.reference import Reference
from gantry.evaluation.run import score_samples
from gantry.figures.nearest_training_images import write_neighbours_figure
from gantry.files import optional_write
from gantry.loggers.dispatch import log_config, log_summary
from gantry.metrics.score import Requirement
from gantry.runs.generator import load_generator_weights
from gantry.runs.generator_json import read_generator_info
from gantry.runs.layout import GENERATOR_JSON, NEIGHBOURS_FILE, PLOTS_FOLDER, generator_folder
from gantry.runs.summary import read_checkpoint_rule, read_summary, write_summary
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class FinalReport(GanCallback):
    """At the end of a run, scores its best and its last generator on other latents than those that selected the best.

    The score that selected a checkpoint is biased: it is the best of many. Scores of other latents are not.
    `report` in summary.json has both with their protocol, the loggers' summaries have `report/best/<name>` and
    `report/last/<name>`. The evaluation is that of the Evaluator, the best generator that of the GeneratorExporter in
    `folder`. An interrupted run makes its report after it is resumed. `on_run_end` would be too late: the nets have
    left their device.
    """

    after = (Evaluator, GeneratorExporter, CheckpointWriter)

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        evaluator = find_evaluator(trainer)
        finished = gan.turn >= gan.turns and not gan.run_state.interrupt_signal
        if evaluator is None or evaluator.evaluation.report is None or not finished or self.has_report(gan):
            return
        start = time.monotonic()
        entries = self.score_checkpoints(trainer, gan, evaluator.evaluation.report_evaluation, evaluator.reference)
        if trainer.is_global_zero:
            log_config(trainer.loggers, {"report": {"protocol": entries["last"]["protocol"]}}, {})
            for which, entry in entries.items():
                log.info("%s, turn %d: %s", which, entry["turn"], format_scores(entry["scores"]))
                scores = entry["scores"].items()
                log_summary(trainer.loggers, {f"report/{which}/{name}": value for name, value in scores})
            write_summary(self.folder, {"report": entries | {"seconds": time.monotonic() - start}})

    def has_report(self, gan: GAN) -> bool:
        """Return True if the run was finished before and has its report."""
        last = read_summary(self.folder).get("report", {}).get("last", {})
        return bool(last.get("turn") == gan.turn)

    def score_checkpoints(
        self, trainer: Trainer, gan: GAN, full: Evaluation, reference: Reference
    ) -> dict[str, dict[str, Any]]:
        """Return the entries `last` and `best`; every rank must call it."""
        real = full.extract_real(reference, gan.device)
        classes = get_datamodule(trainer).classes
        source = make_sample_source(full, gan.G_ema, "last", gan.device, gan.turn, gan.kimg, classes)
        last = score_samples(source, full, reference, real, gan.device)
        if Requirement.HELD_OUT in full.requirements and trainer.is_global_zero:
            with optional_write():
                path = self.folder / PLOTS_FOLDER / NEIGHBOURS_FILE
                write_neighbours_figure(path, source, last.features, reference, real)
        entries = {"last": last.to_dict()}
        folder = generator_folder(self.folder, "best")  # rank 0 wrote it before the ranks agreed on the scores of last
        if (folder / GENERATOR_JSON).is_file():
            extra, rule = read_generator_info(folder).extra, read_checkpoint_rule(self.folder, "best")
            best = last.with_checkpoint_rule(rule)
            if extra["turn"] != gan.turn:
                G = copy.deepcopy(gan.G_ema).eval()  # and not built as generator.json says: a run folder is data
                load_generator_weights(G, folder)
                source = make_sample_source(full, G, rule, gan.device, extra["turn"], extra["kimg"], classes)
                best = score_samples(source, full, reference, real, gan.device)
            entries["best"] = best.to_dict()
        return entries


def find_evaluator(trainer: Trainer) -> Evaluator | None:
    """Return the Evaluator of a run, or None if the run computes no scores."""
    evaluators = [one for one in get_callbacks(trainer) if isinstance(one, Evaluator) and one.evaluation.scores]
    return evaluators[0] if evaluators else None
