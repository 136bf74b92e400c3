"""Whatever is in the folder of a run, commands end well or in one line, and nothing in it is executed.

`make fuzz` tries 500 folders; GANTRY_FUZZ=N tries so many.
"""

import csv
import io
import json
import logging
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import open_dict

import gantry
from config_fuzz import find_one_line
from file_fuzz import ODD_VALUES, Touch, copy_tree, count_cases, mutate_file, mutate_tree
from gantry.commands.resume import expand_resume
from gantry.commands.train import train
from gantry.compare.data_sets import compare_by_data_set
from gantry.compare.find_runs import read_runs
from gantry.compare.page.page import render_page
from gantry.config import resolvers
from gantry.config.compose import compose, finalize_config
from gantry.errors import user_errors
from subprocess_runs import run_training

NUMBER = count_cases()
SMALL = ["turns=2", "metrics=small", "metrics.num_samples=16", "metrics.report.num_samples=20", "data.limit=64"]
SMALL += ["model.G.hidden=[8]", "model.D.hidden=[8]", "callbacks.evaluate.every=1"]
CANARY = "canary"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has finished."""
    folder = tmp_path_factory.mktemp("run")
    run_training(*SMALL, "run.name=first", folder=folder)
    return folder / "train" / "first"


def make_hostile_values(canary: Path) -> tuple[Any, ...]:
    """Return values that create the canary if they are built, resolved or unpickled."""
    path = str(canary)
    touch = {"_target_": "os.mkdir", "_args_": [path]}
    return (
        *(touch, {"_target_": "os.mkdir", "path": path}, {"_target_": "builtins.open", "file": path, "mode": "w"}),
        {"_target_": "subprocess.getoutput", "cmd": f"touch {path}"},
        {"_target_": "gantry.features.custom.os.mkdir", "path": path},
        {"_target_": "torch.nn.Sequential", "_args_": [touch]},
        {"_target_": "hydra.utils.instantiate", "config": touch},
        {"_target_": "gantry.config.instantiate.build", "config": touch},
        {"_target_": "torch.hub.load", "repo_or_dir": path, "model": "x", "source": "local"},
        f"+callbacks.x={{_target_:os.mkdir,path:{path}}}",
        f"+callbacks.x._target_=os.mkdir +callbacks.x.path={path}",
    )


def mutate_json(source: random.Random, path: Path, values: tuple[Any, ...]) -> None:
    path.write_text(json.dumps(mutate_tree(source, json.loads(path.read_text()), values)))


def mutate_yaml(source: random.Random, path: Path, values: tuple[Any, ...]) -> None:
    text = yaml.safe_dump(mutate_tree(source, yaml.safe_load(path.read_text()), values), allow_unicode=True)
    canary = values[0]["_args_"][0] if isinstance(values[0], dict) else "none"
    extras = ("", "", "", "", f"x: !!python/object/apply:os.mkdir ['{canary}']\n", "---\na: 1\n", "&a [*a, *a]\n", "\t")
    path.write_text(text + source.choice(extras))


def mutate_csv(source: random.Random, path: Path, values: tuple[Any, ...]) -> None:
    rows = mutate_tree(source, list(csv.reader(io.StringIO(path.read_text()))), values)
    lines = rows if isinstance(rows, list) else [rows]
    path.write_text("\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in lines))


def mutate_checkpoint(source: random.Random, path: Path, values: tuple[Any, ...]) -> None:
    state = mutate_state(source, torch.load(path, weights_only=True), values)
    canary = values[0]["_args_"][0] if isinstance(values[0], dict) else None
    if canary and source.random() < 0.3:
        state = Touch(Path(canary))
    torch.save(state, path)


def mutate_state(source: random.Random, tree: Any, values: tuple[Any, ...]) -> Any:
    """Return a tree of tensors with one of them replaced or changed in shape or type."""
    if isinstance(tree, torch.Tensor):
        changes: list[Any] = [tree.flatten()[:1], tree.to(torch.int8), tree * float("nan"), tree[None], tree.double()]
        return source.choice([*changes, torch.zeros(0), *values])
    if not isinstance(tree, dict | list) or not tree or source.random() < 0.1:
        return source.choice(values)
    changed: Any = tree.copy()
    key = source.choice(list(tree)) if isinstance(tree, dict) else source.randrange(len(tree))
    if source.random() < 0.15:
        del changed[key]
    else:
        changed[key] = mutate_state(source, tree[key], values)
    return changed


MUTATIONS: dict[str, Callable[..., None]] = {
    ".json": mutate_json,
    ".yaml": mutate_yaml,
    ".csv": mutate_csv,
    ".ckpt": mutate_checkpoint,
}


def mutate_run(source: random.Random, folder: Path, canary: Path) -> str:
    """Change one file of a run: -> its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".png", ".log"))
    named = [path for path in files if path.suffix in MUTATIONS]
    path = source.choice(named * 3 + files)
    hostile = make_hostile_values(canary)
    if path.suffix in MUTATIONS and source.random() < 0.75:
        MUTATIONS[path.suffix](source, path, source.choice([hostile, hostile + ODD_VALUES, ODD_VALUES]))
    else:
        mutate_file(source, path)
    return str(path.relative_to(folder))


def compare_run(folder: Path) -> None:
    result = read_runs([str(folder)])
    page = render_page(compare_by_data_set(result.runs, result.unreadable), "origin", 3)
    assert "<script>alert" not in page


def evaluate_run(folder: Path) -> None:
    gantry.score(folder, num_samples=16)


def evaluate_checkpoint(folder: Path) -> None:
    gantry.score(folder, num_samples=16, overrides=[f"checkpoint='{folder}/checkpoints/last.ckpt'"])


def sample_run(folder: Path) -> None:
    gantry.sample(gantry.load_generator(folder), 2)


def resume_run(folder: Path) -> None:
    """Resume a run for one more turn, as far as its configuration allows it."""
    with user_errors():
        arguments = expand_resume([f"resume='{folder}'", "turns=3"])
        cfg = compose("train", arguments)
        with open_dict(cfg):
            cfg.run.dir = cfg.resume  # Hydra's folder of the run, in a process of its own
        cfg = finalize_config(cfg)
    train(cfg)


COMMANDS = (compare_run, evaluate_run, evaluate_checkpoint, sample_run, gantry.read_metrics, resume_run)


def find_failure(run: Path, number: int, folder: Path) -> str:
    """Return how a command fails on a mutated copy of the run, "" if all end well or in one line."""
    source, canary = random.Random(number), folder / CANARY
    copy = copy_tree(run, folder / "copy")
    changed = mutate_run(source, copy, canary)
    for command in (compare_run, source.choice(COMMANDS[1:])):
        name = getattr(command, "__name__", "")
        try:
            find_one_line(partial(command, copy))
        except Exception as error:
            return f"{number}: {changed}: {name}: {type(error).__name__}: {error}"
        if canary.exists():
            return f"{number}: {changed}: {name}: executed"
    return ""


def test_every_command_takes_the_run_itself(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANTRY_CACHE_DIR", str(tmp_path / "cache"))
    resolvers.register_resolvers()
    copy = copy_tree(run, tmp_path / "copy")
    assert [find_one_line(partial(command, copy)) for command in COMMANDS] == [""] * len(COMMANDS)


def test_runs_are_read_or_refused_in_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANTRY_CACHE_DIR", str(tmp_path / "cache"))
    resolvers.register_resolvers()
    logging.disable(logging.CRITICAL)
    try:
        failures = [find_failure(run, number, tmp_path) for number in range(NUMBER)]
    finally:
        logging.disable(logging.NOTSET)
    failures = list(filter(None, failures))
    assert not failures, "\n".join(failures)
