"""Prune unpromising trials."""

import logging
from pathlib import Path

import torch
from lightning import Trainer
from optuna.pruners import BasePruner

from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.runs.status import write_job_pruning
from gantry.sweeps.search.study import load_trial, open_study
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


class TrialPruner(GanCallback):
    """Report the monitored score of each evaluation to the study, and stop the run if the pruner decides so.

    `folder` is the run folder of the trial, named by its number in the folder of the search. Rank 0 asks the pruner,
    and all ranks stop together. A pruned run makes no report.
    """

    after = (Evaluator,)

    def __init__(self, folder: str, monitor: str | None, pruner: BasePruner) -> None:
        if monitor is None:
            raise ValueError("metrics.monitor must be the score that a search looks at, got null")
        self.folder, self.monitor, self.pruner = Path(folder), monitor, pruner
        self.pruned_at = -1

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:  # noqa: ARG002
        if trainer.is_global_zero:
            self.study = open_study(self.folder.parent, self.pruner)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:  # noqa: ARG002
        if gan.run_state.scored_at != gan.turn or gan.turn >= gan.turns:
            return
        stop = trainer.is_global_zero and self.should_prune(gan.turn, gan.run_state.scores[self.monitor])
        if collectives.all_reduce_sum_(torch.tensor(int(stop), device=gan.device)):
            self.pruned_at = gan.turn
            trainer.should_stop = True
            log.info("pruned at turn %d: worse than earlier trials at this turn", gan.turn)

    def should_prune(self, turn: int, score: float) -> bool:
        """Report a score to the study; return True if the pruner decides to stop the run."""
        trial = load_trial(self.study, int(self.folder.name))
        reported = self.study.trials[trial.number].intermediate_values
        if turn not in reported:  # a resumed run repeats turns that it reported before
            trial.report(score, turn)
        return trial.should_prune()

    def on_run_end(self, trainer: Trainer, gan: GAN) -> None:
        if self.pruned_at == gan.turn and trainer.is_global_zero:
            write_job_pruning(self.folder, f"at turn {gan.turn:,} of {gan.turns:,}")
