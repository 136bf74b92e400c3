"""The numbers that a run is judged by: best and last, each scored once more by the full protocol."""

import logging
import time
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from gantry.metrics.evaluation import Evaluation
from gantry.runs.description import JSON, read_description
from gantry.runs.errors import mistakes
from gantry.runs.generator import load_generator
from gantry.runs.loggers import log_summary
from gantry.runs.references import reference_of
from gantry.runs.summary import checkpoint_rule, write_summary
from gantry.training.drawing import drawn_for
from gantry.training.gan import GAN
from gantry.training.sampling import Net

log = logging.getLogger(__name__)


class Report(Callback):
    """At the end of a run, scores of its best and of its last generator, drawn with other latents than selected.

    The checkpoint that looked best on the selecting samples was lucky with them; only fresh ones say how good it is.
    `report` in summary.json has both with their protocol, the loggers' summaries have `report/best/<name>` and
    `report/last/<name>`. Comes after the Export callback, whose generators in `folder` it reads. An evaluation
    without a report, and a run that was interrupted, leave it out.
    """

    def __init__(self, evaluation: Evaluation, folder: str) -> None:
        self.evaluation, self.folder = evaluation, Path(folder)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if gan.interrupted or self.evaluation.report is None:
            return
        started = time.monotonic()
        with mistakes():
            entries = self.report(trainer, gan)
        if trainer.is_global_zero:
            for place, entry in entries.items():
                log.info("%s, turn %d: %s", place, entry["turn"], in_words(entry["scores"]))
                scores = entry["scores"].items()
                log_summary(trainer.loggers, {f"report/{place}/{name}": value for name, value in scores})
            write_summary(self.folder, {"report": entries | {"seconds": time.monotonic() - started}})

    def report(self, trainer: Trainer, gan: GAN) -> dict[str, dict[str, Any]]:
        """The entries `last` and `best`; every process must call it."""
        full = self.evaluation.full
        reference = reference_of(trainer.datamodule, full.reference)  # type: ignore[attr-defined]
        real = full.read_real(reference, gan.device)

        def entry(G: Net, turn: int, kimg: float, rule: str) -> dict[str, Any]:
            drawn = drawn_for(full, G, rule, gan.device)
            scores = full(drawn.images, real, gan.device, drawn.labels)
            protocol = full.protocol(reference, drawn.about).to_dict()
            return {"turn": turn, "kimg": kimg, "scores": scores, "protocol": protocol}

        entries = {"last": entry(gan.G_ema, gan.turn, gan.kimg, "last")}
        best = self.folder / "generator" / "best"  # process 0 has written it before the scores of last were agreed on
        if (best / JSON).is_file():
            extra, rule = read_description(best).extra, checkpoint_rule(self.folder, "best")
            entries["best"] = entry(load_generator(best, trust=True), extra["turn"], extra["kimg"], rule)
        return entries


def in_words(scores: dict[str, float]) -> str:
    """`fd_digits 0.82, cs_digits 9.57`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
