"""Memory over 2,000 turns, and beside that of a plain loop; each in a process of its own. Linux only."""

import json
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from speed.experiments import MLP_RING, QUIET_OVERRIDES, BenchmarkOptions, compose_train_config, get_trainer_override
from speed.markdown_page import format_table
from speed.plain_loop import LoopRecipe, PlainLoop

HEADER = ("who", "at 1 %", "at 10 %", "at 50 %", "at 100 %", "peak on the GPU")
BUDGET_PERCENTS = (1, 10, 50, 100)  # percent of the turns


def read_peak_mb() -> float:
    """The most memory that this process has held so far, in MB; unlike ru_maxrss, nothing of its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def record_peak(seen: dict[int, float], turn: int, turns: int) -> None:
    """Remember the peak when a share of the turns is done."""
    for share in BUDGET_PERCENTS:
        if turn == max(1, turns * share // 100):
            seen[share] = read_peak_mb()


def format_gpu_peak(device: torch.device) -> str:
    return f"{torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MB" if device.type == "cuda" else "-"


def measure_gantry(options: BenchmarkOptions, turns: int) -> tuple[list[float], str]:
    """Peaks of a run of `experiment=ring`."""
    from gantry.commands.train import train

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peaks.json"
        words = [
            *MLP_RING.overrides,
            *QUIET_OVERRIDES,
            f"turns={turns}",
            f"run.dir={folder}/run",
            get_trainer_override(options),
            *options.overrides,
        ]
        train(
            compose_train_config(
                [
                    *words,
                    "+callbacks.watch._target_=speed.memory_callback.MemoryCallback",
                    f"+callbacks.watch.path={path}",
                ]
            )
        )
        return json.loads(path.read_text()), format_gpu_peak(options.device)


def measure_plain_loop(options: BenchmarkOptions, turns: int) -> tuple[list[float], str]:
    """Peaks of the plain loop with the same nets and data."""
    from gantry.config.instantiate import build

    cfg = compose_train_config([*MLP_RING.overrides])
    G, D = build(cfg.model.G).to(options.device), build(cfg.model.D).to(options.device)
    train = build(cfg.data.source).load().train
    recipe = LoopRecipe("nonsaturating", cfg.loss.n_critic, cfg.data.batch_size, {"lr": 2e-3, "betas": (0.5, 0.9)})
    loop = PlainLoop(G, D, train.x.to(options.device), train.c.to(options.device), recipe, tuned=False)
    seen: dict[int, float] = {}
    for turn in range(1, turns + 1):
        loop.run_turn()
        record_peak(seen, turn, turns)
    return list(seen.values()), format_gpu_peak(options.device)


def measure(options: BenchmarkOptions) -> str:
    """A table of peaks."""
    turns = options.full_or_toy(2000, 100)
    works: dict[str, Callable[..., Any]] = {"Gantry": measure_gantry, "plain loop": measure_plain_loop}
    rows = []
    for name, work in works.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks, gpu = pool.apply(work, (options, turns))
        rows.append([name, *(f"{value:,.0f} MB" for value in peaks), gpu])
    return format_table(HEADER, rows)
