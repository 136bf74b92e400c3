"""Callbacks for runs of a search: some fail or die, scores are known beforehand, and rates are written down."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Trainer

from gantry.callbacks.evaluate import Evaluator
from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.evaluation.run import Entry
from gantry.training.gan import GAN


class FailOrKill(GanCallback):
    """The run in folder `fails` fails after turn 4; the one in folder `killed` is killed there, with all, once."""

    def __init__(self, folder: str, fails: int, killed: int) -> None:
        self.folder, self.fails, self.killed = Path(folder), str(fails), str(killed)

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        if gan.turn != 4:
            return
        if self.folder.name == self.fails:
            raise RuntimeError("nothing but trouble")
        once = self.folder.parent / "killed"
        if self.folder.name == self.killed and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class LearningRateWriter(GanCallback):
    """Each process writes the rate that D has into a file of its own."""

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        (Path(trainer.default_root_dir) / f"rate{collectives.rank()}").write_text(repr(get_initial_lr(trainer)))


class EvaluateByLearningRate(Evaluator):
    """The higher the rate of D, the better the score."""

    def evaluate(self, trainer: Trainer, gan: GAN) -> None:
        no_features: Any = None
        entry = Entry({"overlap": get_initial_lr(trainer)}, self.make_protocol(gan, "last"), no_features)
        self.record_entry(trainer, gan, "last", replace(entry, turn=gan.turn, kimg=gan.kimg))


def get_initial_lr(trainer: Trainer) -> float:
    """The initial learning rate of D."""
    return float(trainer.optimizers[1].param_groups[0]["initial_lr"])
