"""The name of a run, and how each kind of error ends a command."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, open_dict

from compose_config import compose_config
from gantry.commands.entry import exit_on_interrupt
from gantry.commands.resume import set_run_name
from gantry.config import resolvers
from gantry.config.compose import compose
from gantry.loggers.wandb_logger import merge_tags
from gantry.runs.folder import write_config
from subprocess_runs import TRAIN_PY, run_training, start_command, wait_for_exit


def named(folder: Path, *words: str) -> DictConfig:
    """The configuration of a run in a folder, once it has its name."""
    resolvers.register_resolvers()
    cfg = compose("train", words)
    with open_dict(cfg):
        del cfg["hydra"]
        cfg.run.dir = str(folder)
        set_run_name(cfg)
    return cfg


def test_a_single_run_is_named_after_its_folder_and_has_no_group(tmp_path: Path) -> None:
    cfg = named(tmp_path / "first", "run.name=first", "hydra.mode=RUN")
    assert (cfg.logger.wandb.name, cfg.logger.wandb.group) == ("first", None)
    assert named(tmp_path / "first", "run.name=first", "run.group=G", "hydra.mode=RUN").logger.wandb.group == "G"


@pytest.mark.parametrize(("words", "group"), [([], "S"), (["run.group=G"], "G")])
def test_a_job_of_a_sweep_stays_in_its_group_when_it_is_resumed(tmp_path: Path, words: list[str], group: str) -> None:
    folder = tmp_path / "S" / "3"
    cfg = named(folder, f"hydra.sweep.dir={folder.parent}", "hydra.mode=MULTIRUN", *words)
    assert (cfg.logger.wandb.name, cfg.logger.wandb.group) == ("S/3", group)
    write_config(cfg, folder)
    again = named(folder, f"resume={folder}", "run.name='3'", "hydra.mode=RUN")
    assert (again.logger.wandb.name, again.logger.wandb.group) == ("S/3", group)


def test_the_logger_gets_the_facts_of_the_samples(tmp_path: Path) -> None:
    wandb = compose_config("tags=[a,b]", "run.name=first").logger.wandb
    assert (wandb.job_type, list(wandb.tags), wandb.project) == ("train", ["a", "b"], "gantry")


def test_variables_of_wandb_are_obeyed_and_empty_ones_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT", "NAME", "RUN_GROUP"):
        monkeypatch.setenv(f"WANDB_{name}", name)
    wandb = compose_config("run.name=first", "run.group=G").logger.wandb
    assert (wandb.project, wandb.name, wandb.group) == ("PROJECT", "NAME", "RUN_GROUP")
    assert compose_config("logger.wandb.name=mine").logger.wandb.name == "mine"
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_RUN_GROUP", "GANTRY_LOGS"):
        monkeypatch.setenv(name, "")
    cfg = compose_config("run.name=first")
    assert (cfg.logger.wandb.project, cfg.logger.wandb.name, cfg.logger.wandb.group) == ("gantry", "first", None)
    assert cfg.run.dir == "logs/train/first"
    assert merge_tags(["a"], {"WANDB_TAGS": "b, a,"}) == ["a", "b"]


BUGS = {
    "bug in forward": ["model.G._target_=parts_with_bugs.Generator"],
    "bug in the score": [
        "metrics=small",
        "metrics.monitor=mine",
        "+metrics.scores.mine._target_=parts_with_bugs.Score",
    ],
    "bug in the callback": ["+callbacks.mine._target_=parts_with_bugs.FailingCallback"],
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_shows_its_traceback_on_the_console_and_in_the_log(bug: str, tmp_path: Path) -> None:
    output = run_training(*BUGS[bug], "run.name=first", folder=tmp_path, status=1)
    for text in (output, (tmp_path / "train" / "first" / "train.log").read_text()):
        assert text.count("Traceback (most recent call last)") == 1
        assert "stopped by an unexpected error" in text
        assert "parts_with_bugs.py" in text
        assert text.rstrip().endswith(f"ValueError: {bug}")


def test_a_value_that_a_constructor_refuses_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    own = ["model.G._target_=parts_with_bugs.GeneratorOfEvenSeeds", "+model.G.seed=3"]
    assert run_training(*own, folder=tmp_path, status=2) == "error: model.G.seed must be even, got 3\n"


def test_a_mistake_shows_its_traceback_for_debugging(tmp_path: Path) -> None:
    process = start_command([sys.executable, TRAIN_PY, "data.shape=[1,16,16]"], tmp_path, {"GANTRY_DEBUG": "1"})
    output = wait_for_exit(process, status=2)
    assert output.startswith("Traceback (most recent call last)")
    assert "datamodule.py" in output
    assert output.splitlines()[-1].startswith("error: data.shape must be [1, 8, 8]")


def test_a_refused_configuration_shows_its_traceback_for_debugging(tmp_path: Path) -> None:
    process = start_command([sys.executable, TRAIN_PY, "seed=-1"], tmp_path, {"GANTRY_DEBUG": "1"})
    output = wait_for_exit(process, status=2)
    assert "validate.py" in output
    assert output.splitlines()[-1] == "error: seed must be an integer of at least 0, got -1"


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as caught:
            exit_on_interrupt(signal.SIGINT, None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (caught.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_output_without_a_reader_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, TRAIN_PY, "show=true"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 128 + signal.SIGPIPE


@pytest.mark.parametrize("word", ["launcher=submitit_slurm", "hydra/launcher=submitit_slurm"])
def test_the_launcher_of_slurm_is_refused_without_slurm(word: str, tmp_path: Path) -> None:
    output = run_training("-m", word, "seed=1,2", folder=tmp_path, status=2)
    rule = "basic, joblib, ray or submitit_local on a machine without SLURM's srun"
    assert output == f"error: launcher must be {rule}, got submitit_slurm\n"
    assert not (tmp_path / "train").exists()
