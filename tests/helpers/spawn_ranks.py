"""Run a function in several gloo processes and collect what each returns."""

import importlib.util
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import multiprocessing


def run_on_ranks(size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return [function(*args) of rank 0, ..., of rank size - 1]; the function must be at the top level of a file.

    Each process loads that file: the module names that pytest gives to tests cannot be imported there.
    """
    source = (inspect.getfile(function), function.__name__)
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_run_rank, (size, folder, source, args), nprocs=size)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(size)]


def _run_rank(rank: int, size: int, folder: str, source: tuple[str, str], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size)
    torch.save(_load_function(*source)(*args), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def _load_function(path: str, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function
