"""Where a run lies, and whether it is new or goes on."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.distributed import environment
from gantry.runs.checkpoint import has_checkpoint
from gantry.runs.folder import check_new_folder, check_resumable, read_config
from gantry.runs.lock import check_unlocked

LAUNCH_KEYS = ("resume", "run.name", "run.dir", "run.auto_resume", "launcher")

SEARCH_KEYS = ("hparams_search", "callbacks.pruning")  # of which a run that is resumed alone is no longer a part


def set_run_folder(cfg: DictConfig) -> None:
    """Write into the configuration where the run is, what it was told and, if it is to go on by itself, from where."""
    hydra_config = HydraConfig.get()
    again = should_auto_resume(cfg, sweep=hydra_config.mode == RunMode.MULTIRUN)
    with open_dict(cfg):
        cfg.run.dir = hydra_config.runtime.output_dir
        cfg.run.overrides = [word for word in hydra_config.overrides.task if is_stored_override(word)]
        cfg.run.auto_resume = again
        if again and not cfg.resume and has_checkpoint(Path(cfg.run.dir)):
            cfg.resume = cfg.run.dir
        set_run_name(cfg)


def set_run_name(cfg: DictConfig) -> None:
    """Write down what the loggers call the run: a job of a sweep is in a group of its name, unless told another.

    A job that is gone on with, by itself, is called as before.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        sweep = Path(hydra_config.sweep.dir).name
        cfg.run.group = cfg.run.group or sweep
        cfg.run.name = f"{sweep}/{Path(cfg.run.dir).name}"
    elif cfg.resume:
        before = read_config(Path(cfg.resume)).run
        cfg.run.name, cfg.run.group = before.name, cfg.run.group or before.get("group")


def should_auto_resume(cfg: DictConfig, sweep: bool = False) -> bool:
    """Whether a run that is there already goes on without being told its folder; so does what torchrun restarts.

    With a name of one's own choice torchrun could as well have restarted what was refused for being there.
    """
    unnamed = all(OmegaConf.is_interpolation(cfg.run, key) for key in ("name", "dir"))
    if cfg.run.auto_resume and unnamed and not sweep and environment.read_slurm_job_name() is None:
        raise ValueError("run.name must be given with run.auto_resume=true, or each start makes a new run, got none")
    return bool(cfg.run.auto_resume) or (unnamed and environment.is_restarted())


def is_stored_override(word: str) -> bool:
    """Whether an override belongs to the run, and not to where and how this process began."""
    key = word.lstrip("+").partition("=")[0]
    return not key.startswith(SEARCH_KEYS) and key not in LAUNCH_KEYS


def check_run_folder(cfg: DictConfig) -> None:
    """The folder of the run is new, or holds what is to go on; and no other process is at it."""
    folder = Path(cfg.resume or cfg.run.dir)
    if cfg.resume or (should_auto_resume(cfg) and has_checkpoint(folder)):
        check_resumable(cfg, folder)
    elif not should_auto_resume(cfg):
        check_new_folder(folder)
    check_unlocked(folder)


def expand_resume(argv: list[str]) -> list[str]:
    """`resume=FOLDER` stands for the overrides that the run was started with; what is said now is added."""
    folder = next((word.partition("=")[2] for word in argv if word.startswith("resume=")), "")
    if folder in ("", "null"):
        return argv
    before = read_config(Path(folder)).run.overrides
    said = {word.partition("=")[0].lstrip("+~") for word in argv}
    kept = [word for word in before if word.partition("=")[0].lstrip("+~") not in said]
    name = Path(folder).resolve().name.replace("'", "\\'")  # in quotes: a job's is a number
    return [*kept, *argv, f"run.name='{name}'", f"hydra.run.dir={folder}"]
