"""How long the commands take to answer before there is anything to train."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

from speed.experiments import BenchmarkOptions
from speed.markdown_page import format_table
from speed.timing import compute_quartiles, measure_interleaved

ROOT = Path(__file__).parents[2]
HEADER = ("command", "seconds, warm", "quartiles")
COMMANDS = {
    "`python -c pass`": ["-c", "pass"],
    '`python -c "import hydra"`': ["-c", "import hydra"],
    "`python src/train.py --help`": [f"{ROOT}/src/train.py", "--help"],
    "`python src/train.py model=dcgn`": [f"{ROOT}/src/train.py", "model=dcgn"],
    "`python src/train.py turns=-1`": [f"{ROOT}/src/train.py", "turns=-1"],
}


def run_command(words: list[str]) -> None:
    """Run a command to its end, whatever it says."""
    subprocess.run([sys.executable, *words], capture_output=True, check=False)


def measure(options: BenchmarkOptions) -> str:
    """A table of seconds."""
    works = {name: partial(run_command, words) for name, words in COMMANDS.items()}
    times = measure_interleaved(works, options.full_or_toy(5, 1), torch.device("cpu"), warm=not options.toy)
    rows = []
    for name, values in times.items():
        low, middle, high = compute_quartiles(values)
        rows.append([name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"])
    return format_table(HEADER, rows)
