"""Whatever a key of evaluate.py, sample.py or compare.py is set to, the command ends well or in one line that names it.

`make fuzz` tries 1,500 values; GANTRY_FUZZ=N tries half as many.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from config_fuzz import Tally, choose_overrides, find_command_line, list_keys
from config_oracle import try_command
from file_fuzz import copy_tree, list_cases
from gantry.commands.compare import compare
from gantry.commands.evaluate import evaluate
from gantry.commands.sample import write_samples
from gantry.config import resolvers
from gantry.config.compose import compose
from subprocess_runs import run_training

SMALL = ["turns=2", "metrics=small", "metrics.num_samples=16", "metrics.report.num_samples=20", "data.limit=64"]
SMALL += ["model.G.hidden=[8]", "model.D.hidden=[8]", "callbacks.evaluate.every=1", "run.name=first"]
FEW = "metrics.report.num_samples=20"
STARTS: list[tuple[str, Callable[[DictConfig], Any], list[str]]] = [
    ("evaluate", evaluate, ["run=run"]),
    ("evaluate", evaluate, ["run=run", "data=digits", "metrics=small", FEW, "data.limit=64"]),
    ("evaluate", evaluate, ["samples=samples.npz", "data=digits", "data.limit=64"]),
    ("evaluate", evaluate, ["samples=samples", "reference=samples.npz", "data.small_net=digits"]),
    ("sample", write_samples, ["run=run", "n=4"]),
    ("compare", compare, ["runs=[run]"]),
]
MORE = ("run", "samples", "samples.npz", "no/such", "/", ".", "best", "last", "[frechet,kid]", "{manifold:{k:3}}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and samples of it as a folder and a file."""
    place = tmp_path_factory.mktemp("start")
    run_training(*SMALL, folder=place)
    (place / "train" / "first").rename(place / "run")
    resolvers.register_resolvers()
    for what, out in (("npz", "samples.npz"), ("png", "samples")):
        words = [f"run={place}/run", f"what={what}", f"out={place}/{out}", "n=20"]
        assert find_command_line("sample", write_samples, words) == ""
    return place


@pytest.mark.usefixtures("_quiet")
def test_commands_take_each_value_or_refuse_it_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    for number in list_cases(2):
        monkeypatch.chdir(copy_tree(folder, tmp_path / "here" / "now"))
        config_name, task, words = STARTS[number % len(STARTS)]
        start = compose(config_name, words)
        keys = [key for key in list_keys(start) if not key.startswith("hydra")]
        overrides = choose_overrides(keys, number, MORE)
        case = f"{number}: {config_name} {' '.join(words)} {overrides}"
        tally.add(case, *try_command(config_name, task, start, words, overrides))
    tally.check()
