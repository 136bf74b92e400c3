"""A callback that holds the ranks against each other."""

from pathlib import Path

import torch
from lightning import Trainer

from gantry.callbacks.gan_callback import GanCallback
from gantry.distributed import collectives
from gantry.training.gan import GAN


class RankAgreement(GanCallback):
    """At the end, leaves a file in the run's folder that says whether all ranks have the same state."""

    def on_training_end(self, trainer: Trainer, gan: GAN) -> None:
        mine = torch.cat([value.double().flatten() for value in gan.state_dict().values()])
        states = collectives.all_gather_uneven(mine[None])
        if trainer.is_global_zero:
            verdict = f"{len(states)} {'equal' if all(torch.equal(s, mine) for s in states) else 'different'}"
            (Path(trainer.default_root_dir) / "ranks").write_text(verdict)
