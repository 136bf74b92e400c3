"""What a run is called by the loggers."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, open_dict

from compose_config import compose_config
from gantry.commands.resume import set_run_name
from gantry.config import resolvers
from gantry.config.compose import compose
from gantry.runs.folder import write_config


def named(folder: Path, *words: str) -> DictConfig:
    """The configuration of a run in a folder, once it has its name."""
    resolvers.register_resolvers()
    cfg = compose("train", words)
    with open_dict(cfg):
        del cfg["hydra"]
        cfg.run.dir = str(folder)
        set_run_name(cfg)
    return cfg


def test_a_run_by_itself_is_called_as_its_folder_and_in_no_group(tmp_path: Path) -> None:
    cfg = named(tmp_path / "first", "run.name=first", "hydra.mode=RUN")
    assert (cfg.logger.wandb.name, cfg.logger.wandb.group) == ("first", None)
    assert named(tmp_path / "first", "run.name=first", "run.group=G", "hydra.mode=RUN").logger.wandb.group == "G"


@pytest.mark.parametrize(("said", "group"), [([], "S"), (["run.group=G"], "G")])
def test_a_job_of_a_sweep_is_in_a_group_also_when_it_goes_on(tmp_path: Path, said: list[str], group: str) -> None:
    folder = tmp_path / "S" / "3"
    cfg = named(folder, f"hydra.sweep.dir={folder.parent}", "hydra.mode=MULTIRUN", *said)
    assert (cfg.logger.wandb.name, cfg.logger.wandb.group) == ("S/3", group)
    write_config(cfg, folder)
    again = named(folder, f"resume={folder}", "run.name='3'", "hydra.mode=RUN")
    assert (again.logger.wandb.name, again.logger.wandb.group) == ("S/3", group)


def test_the_logger_is_told_what_it_is(tmp_path: Path) -> None:
    wandb = compose_config("tags=[a,b]", "run.name=first").logger.wandb
    assert (wandb.job_type, list(wandb.tags), wandb.project) == ("train", ["a", "b"], "gantry")
