"""Compare the results of two finished runs that must be equal: weights, metrics.csv and scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def find_run_differences(folder: Path, reference: Path) -> list[str]:
    """Return the names of the results in which two finished runs differ."""
    readers: dict[str, Callable[[Path], Any]] = {
        "weights": read_training_state,
        "metrics.csv": read_metric_rows,
        "summary.json": read_summary_scores,
    }
    return [name for name, read in readers.items() if not is_bitwise_equal(read(folder), read(reference))]


def is_bitwise_equal(a: Any, b: Any) -> bool:
    """Return True if two nested dicts and lists of tensors and values are equal bit for bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(is_bitwise_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_bitwise_equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)


def read_training_state(folder: Path) -> dict[str, Any]:
    """Read weights and optimisers of the last checkpoint."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: checkpoint[name] for name in ("state_dict", "optimizer_states", "global_step")}


def read_metric_rows(folder: Path) -> list[list[str]]:
    """Read metrics.csv without the columns of speed and memory."""
    lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    columns = [i for i, name in enumerate(lines[0]) if not name.startswith(("speed/", "memory/"))]
    return [[line[i] for i in columns] for line in lines]


def read_summary_scores(folder: Path) -> dict[str, Any]:
    """Read summary.json without the seconds."""
    return dict(drop_seconds(json.loads((folder / "summary.json").read_text())))


def drop_seconds(value: Any) -> Any:
    """Remove all entries named "seconds" from nested dicts."""
    if isinstance(value, dict):
        return {name: drop_seconds(inner) for name, inner in value.items() if name != "seconds"}
    return value
