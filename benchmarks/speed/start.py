"""How long the commands take to answer before there is anything to train."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

from speed.experiments import Options
from speed.markdown_page import table
from speed.timing import in_turns, spread

ROOT = Path(__file__).parents[2]
HEADER = ("command", "seconds, warm", "quartiles")
COMMANDS = {
    "`python -c pass`": ["-c", "pass"],
    '`python -c "import hydra"`': ["-c", "import hydra"],
    "`python src/train.py --help`": [f"{ROOT}/src/train.py", "--help"],
    "`python src/train.py model=dcgn`": [f"{ROOT}/src/train.py", "model=dcgn"],
    "`python src/train.py turns=-1`": [f"{ROOT}/src/train.py", "turns=-1"],
}


def answer(words: list[str]) -> None:
    """Run a command to its end, whatever it says."""
    subprocess.run([sys.executable, *words], capture_output=True, check=False)


def measure(options: Options) -> str:
    """A table of seconds."""
    works = {name: partial(answer, words) for name, words in COMMANDS.items()}
    times = in_turns(works, options.size(5, 1), torch.device("cpu"), warm=not options.toy)
    rows = []
    for name, values in times.items():
        low, middle, high = spread(values)
        rows.append([name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"])
    return table(HEADER, rows)
