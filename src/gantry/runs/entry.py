"""How a command starts: compose, validate, and only then import what is heavy."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gantry.runs import resolvers
from gantry.runs.errors import UserError, mistakes, one_line, unknown_key
from gantry.runs.run_folder import read_config
from gantry.runs.validate import validate

CONFIGS = Path(__file__).parents[3] / "configs"
Task = Callable[[DictConfig], Any]


def entry(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make a function of a configuration a command: mistakes of the user end in one line and exit status 2."""

    def decorate(task: Task) -> Callable[[], None]:
        def main() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here whole; bugs keep their traceback
            resolvers.register()
            try:
                with mistakes():
                    sys.argv[1:] = resumed(sys.argv[1:])
                    refuse_early(config_name, sys.argv[1:])
                hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job(task))()
            except (UserError, HydraException, OmegaConfBaseException) as error:
                print(f"error: {one_line(error)}", file=sys.stderr)
                sys.exit(2)

        return main

    return decorate


def job(task: Task) -> Task:
    """The task with the folder that Hydra made for it as `run.dir`, after one more look at its configuration."""

    def run(cfg: DictConfig) -> Any:
        with open_dict(cfg):
            cfg.run.dir = HydraConfig.get().runtime.output_dir
            cfg.run.overrides = list(HydraConfig.get().overrides.task)
        with mistakes():
            spell_out_terms(cfg)
            validate(cfg)
        return task(cfg)

    return run


def refuse_early(config_name: str, argv: list[str]) -> None:
    """Compose and validate before Hydra makes a folder; a sweep's jobs are validated when each begins."""
    if any(word.startswith("-") for word in argv):
        return
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = hydra.compose(config_name, argv, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        spell_out_terms(cfg)
        validate(cfg)


def spell_out_terms(cfg: DictConfig) -> None:
    """`+loss.d_terms.r1=5` stands for the term of configs/loss/term/r1.yaml with the weight 5."""
    terms = OmegaConf.select(cfg, "loss.d_terms") or {}
    known = {path.stem: path for path in (CONFIGS / "loss" / "term").glob("*.yaml")}
    for name, weight in list(terms.items()):
        if isinstance(weight, int | float):
            if name not in known:
                raise ValueError(unknown_key(f"loss.d_terms.{name}", known))
            with open_dict(cfg):
                terms[name] = OmegaConf.merge(OmegaConf.load(known[name]), {"weight": weight})


def resumed(argv: list[str]) -> list[str]:
    """`resume=FOLDER` stands for the overrides that the run was started with; what is said now is added."""
    folder = next((word.partition("=")[2] for word in argv if word.startswith("resume=")), "")
    if folder in ("", "null"):
        return argv
    before = read_config(Path(folder)).run.overrides
    said = {word.partition("=")[0] for word in argv}
    kept = [word for word in before if word.partition("=")[0] not in {*said, "run.name", "run.dir"}]
    return [*kept, *argv, f"run.name={Path(folder).resolve().name}", f"hydra.run.dir={folder}"]
