"""Whatever is in the folder of a run, commands end well or in one line; nothing is executed, or written elsewhere.

`make fuzz` tries 500 folders; GANTRY_FUZZ=N tries so many.
"""

import random
from functools import partial
from pathlib import Path

import pytest
from omegaconf import DictConfig, open_dict

import gantry
from config_fuzz import HangError, Tally, describe_error, find_one_line
from file_fuzz import copy_tree, list_cases
from gantry.commands.evaluate import evaluate
from gantry.commands.resume import check_run_folder, expand_resume
from gantry.commands.sample import write_samples
from gantry.commands.train import train
from gantry.compare.data_sets import compare_by_data_set
from gantry.compare.find_runs import read_runs
from gantry.compare.page.page import render_page
from gantry.config import resolvers
from gantry.config.compose import compose, finalize_config
from gantry.config.instantiate import build
from gantry.errors import user_errors
from gantry.loggers.dispatch import close_loggers, log_metrics
from run_fuzz import SECRET, SECRET_VARIABLE, mutate_run, read_tree
from subprocess_runs import run_training

SMALL = ["turns=2", "metrics=small", "metrics.num_samples=16", "metrics.report.num_samples=20", "data.limit=64"]
SMALL += ["model.G.hidden=[8]", "model.D.hidden=[8]", "callbacks.evaluate.every=1", "logger=[csv,wandb]"]
CACHE = "cache"  # of statistics of real images: in the folder of the run here, so that it is mutated, too


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has finished."""
    folder = tmp_path_factory.mktemp("run")
    run_training(*SMALL, "run.name=first", folder=folder)
    (folder / CACHE).rename(folder / "train" / "first" / CACHE)
    return folder / "train" / "first"


@pytest.fixture
def copy(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies of the run are put."""
    monkeypatch.setenv("GANTRY_CACHE_DIR", str(tmp_path / "copy" / CACHE))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    resolvers.register_resolvers()
    return copy_tree(run, tmp_path / "copy")


def compose_command(config_name: str, *words: str) -> DictConfig:
    with user_errors():
        return finalize_config(compose(config_name, words))


def compare_run(folder: Path) -> None:
    result = read_runs([str(folder)])
    page = render_page(compare_by_data_set(result.runs, result.unreadable), "origin", 3)
    assert "<script>alert" not in page
    assert SECRET not in page


def score_run(folder: Path) -> None:
    gantry.score(folder, num_samples=16)


def score_checkpoint(folder: Path) -> None:
    gantry.score(folder, num_samples=16, overrides=[f"checkpoint='{folder}/checkpoints/last.ckpt'"])


def evaluate_run(folder: Path) -> None:
    evaluate(compose_command("evaluate", f"run='{folder}'", "num_samples=16"))


def sample_run(folder: Path) -> None:
    gantry.sample(gantry.load_generator(folder), 2)


def write_grid(folder: Path) -> None:
    write_samples(compose_command("sample", f"run='{folder}'", "n=4"))


def resume_run(folder: Path) -> None:
    """Resume a run for one more turn, as far as its configuration allows it."""
    with user_errors():
        arguments = expand_resume([f"resume='{folder}'", "turns=3", "logger=csv"])
        cfg = compose("train", arguments)
        with open_dict(cfg):
            cfg.run.dir = cfg.resume  # Hydra's folder of the run, in a process of its own
        check_run_folder(finalize_config(cfg))
    train(cfg)


def resume_with_wandb(folder: Path) -> None:
    """Continue the log of a run in W&B's files."""
    cfg = compose("train", [*SMALL, f"run.dir='{folder}'"])
    loggers = [build(cfg.logger.wandb)]
    log_metrics(loggers, {"loss/D": 1.0}, 3, 0.1)
    close_loggers(loggers, success=True)


COMMANDS = (
    *(compare_run, score_run, score_checkpoint, evaluate_run, sample_run, write_grid),
    *(gantry.read_metrics, resume_run),
)


def try_run(run: Path, number: int, copy: Path, outside: Path) -> tuple[str, str, str]:
    """Return what is mutated in a copy of the run, the refusal by two commands and how one fails, "" for neither."""
    source, canary = random.Random(number), copy.parent / "canary"
    copy_tree(run, copy)
    copy_tree(run / "generator", outside)
    changed = mutate_run(source, copy, outside, canary)
    before, names = read_tree(outside), {path.name for path in copy.parent.iterdir()}
    second = resume_with_wandb if changed.startswith("wandb") else source.choice(COMMANDS[1:])
    lines = []
    for command in (compare_run, second):
        name = getattr(command, "__name__", "")
        try:
            lines.append(find_one_line(partial(command, copy)))
        except (Exception, HangError) as error:
            return changed, "", f"{name}: {describe_error(error)}"
        if canary.exists():
            return changed, "", f"{name}: executed"
        if read_tree(outside) != before or {path.name for path in copy.parent.iterdir()} - names - {"logs"}:
            return changed, "", f"{name}: written outside"
    return changed, "".join(lines), ""


@pytest.mark.usefixtures("_quiet")
def test_every_command_takes_the_run_itself(copy: Path) -> None:
    assert [find_one_line(partial(command, copy)) for command in COMMANDS] == [""] * len(COMMANDS)


@pytest.mark.usefixtures("_quiet")
def test_runs_are_read_or_refused_in_one_line(run: Path, copy: Path, tmp_path: Path) -> None:
    tally = Tally()
    for number in list_cases():
        changed, line, failure = try_run(run, number, copy, tmp_path / "outside")
        tally.add((number, changed), line, failure)
    tally.check()
