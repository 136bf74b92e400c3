"""What a finished run leaves, as far as it must not depend on what happened on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def find_run_differences(folder: Path, unbroken: Path) -> list[str]:
    """What of two finished runs is not the same."""
    readers: dict[str, Callable[[Path], Any]] = {
        "weights": read_training_state,
        "metrics.csv": read_metric_rows,
        "summary.json": read_summary_scores,
    }
    return [name for name, read in readers.items() if not is_bitwise_equal(read(folder), read(unbroken))]


def is_bitwise_equal(a: Any, b: Any) -> bool:
    """Whether two nests of dicts, lists and tensors are equal bit for bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(is_bitwise_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_bitwise_equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)


def read_training_state(folder: Path) -> dict[str, Any]:
    """Weights and optimisers of the last checkpoint."""
    whole = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: whole[name] for name in ("state_dict", "optimizer_states", "global_step")}


def read_metric_rows(folder: Path) -> list[list[str]]:
    """metrics.csv without speed and memory."""
    lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(lines[0]) if not name.startswith(("speed/", "memory/"))]
    return [[line[i] for i in kept] for line in lines]


def read_summary_scores(folder: Path) -> dict[str, Any]:
    """summary.json without the seconds."""
    return dict(drop_seconds(json.loads((folder / "summary.json").read_text())))


def drop_seconds(value: Any) -> Any:
    """Without the entries named seconds."""
    if isinstance(value, dict):
        return {name: drop_seconds(inner) for name, inner in value.items() if name != "seconds"}
    return value
