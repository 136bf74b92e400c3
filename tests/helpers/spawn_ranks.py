"""Run a function in several gloo processes and collect what each returns."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import multiprocessing


def run_on_ranks(size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """[function(*args) on rank 0, ... on rank size - 1]; the function must be defined in a module."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_run_rank, (size, folder, function, args), nprocs=size)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(size)]


def _run_rank(rank: int, size: int, folder: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    torch.save(function(*args), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
