"""Gantry against plain loops, stretch by stretch in one process, so that the noise of the machine strikes all alike."""

import copy
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from gantry.training.gan import GAN
from speed.operation_cost import count_cost
from speed.plain_loop import GANTRY, PLAIN, TUNED, LoopRecipe, PlainLoop
from speed.timing import measure_seconds, synchronized_time

MEMORY_FORMATS = {PLAIN: torch.contiguous_format, TUNED: torch.preserve_format}
RACE_WARM_UP = {"cpu": 2, "cuda": 30}  # turns of each before the race; the last of them says how many a stretch is


class RaceCallback(Callback):
    """After each stretch of turns training pauses while loops with the same nets do as many; ends after `rounds`.

    A stretch takes about `seconds`. Placed last, so that all that Lightning and the callbacks do in a turn is counted.
    `path` gets {"times": {who: [seconds of a turn]}, ...} as JSON. `loss` is a name of `plain.LOSSES`, `against`
    are the loops.
    """

    def __init__(self, path: str, loss: str, rounds: int, seconds: float, against: Sequence[str]) -> None:
        self.path, self.loss, self.rounds, self.seconds, self.against = Path(path), loss, rounds, seconds, against
        self.loops: dict[str, PlainLoop] = {}
        self.times: dict[str, list[float]] = {}
        self.stretch_length, self.resumed_at = 1, 0.0
        self.warm_up_turns = self.next_pause = 0  # turns of each that are not raced

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.warm_up_turns = RACE_WARM_UP[gan.device.type]
        self.next_pause = self.warm_up_turns - 1
        data = trainer.datamodule.data.train  # type: ignore[attr-defined]
        group = trainer.optimizers[0].param_groups[0]
        adam = {name: group[name] for name in ("betas", "eps")} | {"lr": float(group["initial_lr"])}
        recipe = LoopRecipe(self.loss, gan.loss.n_critic, gan.batch_size, adam)
        x, c = data.x.to(gan.device), data.c.to(gan.device)
        for name in self.against:
            G, D = (copy.deepcopy(net).to(memory_format=MEMORY_FORMATS[name]) for net in (gan.G, gan.D))
            self.loops[name] = PlainLoop(G, D, x, c, recipe, tuned=name == TUNED)
            self.loops[name].run_turns(self.warm_up_turns - 1)  # and a stretch of one turn that does not count
        self.times = {name: [] for name in (GANTRY, *self.loops)}

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if gan.turn < self.next_pause:
            return
        if gan.turn >= self.warm_up_turns:
            self.record_time(GANTRY, synchronized_time(gan.device) - self.resumed_at)
            for name, loop in self.loops.items():
                self.record_time(name, measure_seconds(partial(loop.run_turns, self.stretch_length), gan.device))
        if gan.turn == self.warm_up_turns:
            self.set_stretch_length()
        if len(self.times[GANTRY]) == self.rounds:
            self.write_result_and_stop(trainer, gan)
        self.next_pause = gan.turn + self.stretch_length
        self.resumed_at = synchronized_time(gan.device)

    def record_time(self, name: str, spent: float) -> None:
        self.times[name].append(spent / self.stretch_length)

    def set_stretch_length(self) -> None:
        """Choose the length of a stretch and forget what was measured to know it."""
        self.stretch_length = max(1, round(self.seconds / max(self.times[GANTRY])))
        self.times = {name: [] for name in self.times}

    def write_result_and_stop(self, trainer: Trainer, gan: GAN) -> None:
        """Write what was measured and end the run."""
        counted = count_cost(self.loops[PLAIN].run_turn)
        facts = {"images": round(1000 * gan.kimg_per_turn), "batch": gan.batch_size, "shape": gan.G.shape}
        self.path.write_text(json.dumps({"times": self.times, **facts, **vars(counted)}))
        trainer.should_stop = True
