"""Callbacks that leave behind what each process of a run saw, and that break a run on purpose."""

import json
import os
import signal
from pathlib import Path

from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback
from gantry.distributed import collectives
from gantry.training.gan import GAN


class RankRecorder(GanCallback):
    """A line in `ranks` of the run's folder for every process that begins to train there."""

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        about = {"rank": collectives.rank(), "size": collectives.world_size(), "seed": gan.seed, "turn": gan.turn}
        with (Path(trainer.default_root_dir) / "ranks").open("a") as file:
            file.write(json.dumps(about) + "\n")


class SignalSender(RankRecorder):
    """Sends a signal to its own process after turn `at`, on rank `rank`, once in a run's life."""

    def __init__(self, number: int, at: int = 3, rank: int = 0) -> None:
        self.number, self.at, self.rank = number, at, rank

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        done = Path(trainer.default_root_dir) / "signalled"
        if gan.turn == self.at and collectives.rank() == self.rank and not done.exists():
            done.touch()
            signal.raise_signal(self.number) if self.number != signal.SIGKILL else os.kill(os.getpid(), self.number)


def read_rank_records(folder: Path) -> list[dict[str, int]]:
    """Return the records of the processes, by turn and rank."""
    lines = (folder / "ranks").read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda about: (about["turn"], about["rank"]))
