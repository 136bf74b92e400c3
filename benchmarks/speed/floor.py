"""What share of the machine's own ceilings a turn reaches."""

from statistics import median
from typing import Any

import torch

from gantry.commands.hardware import set_tf32
from speed.experiments import BenchmarkOptions
from speed.markdown_page import format_table
from speed.operation_cost import make_copy, make_matmul
from speed.plain_loop import GANTRY
from speed.timing import measure_interleaved
from speed.turn import run_all_races

CEILINGS_HEADER = ("ceiling", "reached")
ROUNDS = 5
HEADER = ("net", "GFLOP a turn", "at the ceiling", "GB a turn", "at the ceiling", "measured", "share reached")


def measure(options: BenchmarkOptions) -> str:
    """Two tables: the ceilings, and the turns beneath them."""
    flops, low, copied = measure_ceilings(options)
    said = [
        ("product of float32 matrices (on a GPU as TF32)", f"{flops / 1e9:,.0f} GFLOP/s"),
        ("product of bfloat16 matrices", f"{low / 1e9:,.0f} GFLOP/s"),
        ("copy", f"{copied / 1e9:,.1f} GB/s read and written"),
    ]
    rows = [format_floor_row(name, result, flops, copied) for name, result in run_all_races(options).items()]
    return format_table(CEILINGS_HEADER, said) + "\n\n" + format_table(HEADER, rows)


def measure_ceilings(options: BenchmarkOptions) -> tuple[float, float, float]:
    """Operations per second in float32 and in bfloat16, and bytes per second of a copy: the best of the rounds."""
    set_tf32(True)  # as trainer=gpu does
    n = options.full_or_toy(1024, 64) if options.device.type == "cpu" else 8192
    works = {
        "float32": make_matmul(n, torch.float32, options.device),
        "bfloat16": make_matmul(n, torch.bfloat16, options.device),
        "copy": make_copy(options.full_or_toy(1 << 28, 1 << 16), options.device),
    }
    times = measure_interleaved({name: work for name, (work, _) in works.items()}, ROUNDS, options.device)
    float32, bfloat16, copied = (size / min(times[name]) for name, (_, size) in works.items())
    return float32, bfloat16, copied


def format_floor_row(name: str, result: dict[str, Any], flops: float, copied: float) -> list[str]:
    """What the turn would take if it were products alone, or traffic alone, beside what it takes."""
    products_ms, traffic_ms = 1000 * result["flops"] / flops, 1000 * result["bytes"] / copied
    ms = 1000 * median(result["times"][GANTRY])
    counts = [f"{result['flops'] / 1e9:,.3g}", f"{products_ms:,.3g} ms", f"{result['bytes'] / 1e9:,.3g}"]
    return [name, *counts, f"{traffic_ms:,.3g} ms", f"{ms:,.3g} ms", f"{products_ms / ms:.0%}"]
