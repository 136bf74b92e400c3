"""Runs of `src/train.py` within this process, and the experiments that are raced."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from gantry.config import resolvers
from gantry.config.compose import compose, finalize_config
from speed.plain_loop import PLAIN, TUNED

DISABLED_CALLBACKS = ("evaluate", "critic_gap", "samples", "export", "report", "checkpoints", "curves")
QUIET_OVERRIDES = ["logger=csv", "metrics=none", *(f"callbacks.{name}=null" for name in DISABLED_CALLBACKS)]
TRAINERS = {"cpu": "cpu", "cuda": "gpu"}


@dataclass(frozen=True)
class BenchmarkOptions:
    """What the command was told: rounds of a race, seconds of a stretch, more overrides for Gantry."""

    device: torch.device
    rounds: int = 20
    seconds: float = 0.3
    toy: bool = False
    overrides: tuple[str, ...] = ()

    def full_or_toy(self, full: int, toy: int) -> int:
        """A number that is small in a test."""
        return toy if self.toy else full


def make_noise_overrides(channels: int, side: int) -> list[str]:
    """Images of noise as the data."""
    source = ["data.source._target_=speed.noise_data.NoiseSource", "+data.source.shape=${data.shape}"]
    return ["data=digits", f"data.shape=[{channels},{side},{side}]", "data.num_classes=0", *source]


@dataclass(frozen=True)
class RaceCase:
    """An experiment to race: overrides, and the loss by the name of the plain loop's.

    `every`: turns between two rows of metrics.csv, as in the experiment at its usual budget; `rounds` the most rounds;
    `against`: the loops it is raced with.
    """

    overrides: tuple[str, ...]
    loss: str = "nonsaturating"
    every: int = 6
    rounds: int = 100
    against: tuple[str, ...] = (PLAIN, TUNED)


MLP_RING = RaceCase(("experiment=ring",), every=12)


def make_race_cases(options: BenchmarkOptions) -> dict[str, RaceCase]:
    """The experiments; on a CPU those of 32x32 do less in a turn than published, or it takes half a minute."""
    batch, n_critic = (8, 1) if options.device.type == "cpu" else (64, 2)
    sngan = ("model=sngan", "loss=hinge", *make_noise_overrides(3, 32), f"data.batch_size={batch}")
    dcgan = ("model=dcgan", *make_noise_overrides(3, 32), f"loss.n_critic={n_critic}")
    all_ = {
        "mlp, points": MLP_RING,
        "mlp, 28x28": RaceCase(("model=mlp", *make_noise_overrides(1, 28))),
        "dcgan_small, 8x8": RaceCase(()),
        "dcgan, 32x32": RaceCase(dcgan, every=1000, rounds=options.full_or_toy(6, 1)),
        "sngan, 32x32": RaceCase(sngan, "hinge", every=500, rounds=options.full_or_toy(5, 1)),
    }
    return {name: all_[name] for name in ("mlp, points", "dcgan_small, 8x8")} if options.toy else all_


def compose_train_config(words: Sequence[str]) -> DictConfig:
    """A validated configuration, as `src/train.py` makes it."""
    resolvers.register_resolvers()
    return finalize_config(compose("train", words))


def get_trainer_override(options: BenchmarkOptions) -> str:
    return f"trainer={TRAINERS[options.device.type]}"


def run_race(case: RaceCase, options: BenchmarkOptions, *more: str) -> dict[str, Any]:
    """What `speed.race.RaceCallback` writes of an experiment."""
    from gantry.commands.train import train

    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "race.json"
        facts = {"path": result, "loss": case.loss, "rounds": min(case.rounds, options.rounds)}
        facts |= {"seconds": options.seconds, "against": list(case.against), "_target_": "speed.race.RaceCallback"}
        raced = [f"+callbacks.race.{name}={value}" for name, value in facts.items()]
        own = [*case.overrides, "turns=1000000", f"callbacks.scalars.every={case.every}", f"run.dir={folder}/run"]
        train(
            compose_train_config(
                [get_trainer_override(options), *own, *QUIET_OVERRIDES, *raced, *options.overrides, *more]
            )
        )
        return dict(json.loads(result.read_text()))
