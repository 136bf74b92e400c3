"""Folders as runs leave them, made without any training."""

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from gantry.runs.folder import write_config
from gantry.runs.layout import JOB_FILE
from gantry.runs.summary import write_summary

GREY_LEVELS = {0: 10, 50: 120, 100: 240}  # of the grey in the picture of a turn


def make_protocol(**other: Any) -> dict[str, Any]:
    """Return the protocol of a fake run."""
    facts = {"extractor": "digits", "num_samples": 500, "seed": 1, "real": "digits", "real_split": "train"}
    return facts | {"real_count": 1437, "batchnorm": "running", "checkpoint": "best", "scores": {}} | other


def write_fake_run(
    folder: Path,
    *overrides: str,
    fd: float = 10.0,
    seed: int = 1,
    done: int | None = 100,
    config: dict[str, Any] | None = None,
    measured: dict[str, Any] | None = None,
    pictures: Sequence[int] = (0, 50, 100),
) -> Path:
    """A run of 100 turns whose best fd_digits is `fd` and whose last is one more; `done` None leaves it unended.

    What it was told is its configuration: `model=mlp` is the name of the model, `recipe.lr=1` a value.
    """
    values = [word.split("=") for word in overrides]
    chosen = {key: value for key, value in values if "." not in key}
    dotted = OmegaConf.from_dotlist([word for word in overrides if "." in word])
    rest: Any = {"turns": 100, "seed": seed, "run": {"dir": str(folder), "overrides": [*overrides, f"seed={seed}"]}}
    rest["metrics"] = {"monitor": "fd_digits", "mode": "min"}
    named = {group: {"name": name} for group, name in {"data": "digits", **chosen}.items()}
    write_config(OmegaConf.merge(rest, named, dotted, config or {}), folder)
    process = {"host": platform.node(), "pid": get_dead_pid()}
    (folder / JOB_FILE).write_text(json.dumps({**process, "choices": {"data": "digits", **chosen}}))
    if done is not None:
        entry = {"turn": 100, "kimg": 6.4, "protocol": make_protocol(**(measured or {}))}
        places = {"best": entry | {"scores": {"fd_digits": fd}}, "last": entry | {"scores": {"fd_digits": fd + 1}}}
        write_summary(folder, {"report": places, "turns": done, "seconds": 20.0} if done == 100 else {"turns": done})
    write_fake_metrics(folder, fd)
    for turn in pictures:
        (folder / "samples").mkdir(exist_ok=True)
        Image.new("L", (40, 40), GREY_LEVELS.get(turn, 100)).save(folder / "samples" / f"{turn:06d}.png")
    return folder


def write_fake_metrics(folder: Path, fd: float) -> None:
    """Three rows that go down to the number; the seconds of the first are not known, as in a real run."""
    lines = [f"{t},{t * 0.064},{fd + 100 - t},{2 - t / 100},{t / 5 if t else ''}" for t in (0, 50, 100)]
    text = "\n".join(["turn,kimg,score/fd_digits,loss/D,speed/seconds", *lines])
    (folder / "metrics.csv").write_text(f"{text}\n")


def get_dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_fake_sweep(folder: Path) -> Path:
    """Two models by two losses by two seeds; dcgan with hinge is best, the model matters most."""
    number = 0
    for model, base in (("mlp", 40.0), ("dcgan", 20.0)):
        for loss, more in (("hinge", 0.0), ("nonsaturating", 4.0)):
            for seed in (1, 2):
                overrides = (f"model={model}", f"loss={loss}")
                write_fake_run(folder / str(number), *overrides, fd=base + more + seed / 10, seed=seed)
                number += 1
    return folder


def read_image(path: Path) -> np.ndarray:
    """The pixels of a picture."""
    return np.asarray(Image.open(path))
