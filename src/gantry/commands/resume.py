"""The folder of a run: whether it is new or resumes an earlier run, and with which overrides."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.config.rules import MAX_NAME_BYTES
from gantry.config.stored_overrides import check_stored_overrides
from gantry.config.text_values import get_override_key, parse_overrides, quote_text, read_text_value
from gantry.config.trust import read_trusted_packages
from gantry.distributed import environment
from gantry.files import check_links
from gantry.runs.checkpoint import has_checkpoint
from gantry.runs.folder import check_resumable, read_config
from gantry.runs.layout import LAST_CHECKPOINT, WANDB_FOLDER, split_run_path
from gantry.runs.lock import check_unlocked
from gantry.runs.new_folder import check_new_folder, check_resumed_folder, check_writable

LAUNCH_KEYS = ("resume", "run.name", "run.dir", "run.auto_resume", "launcher", "trust", "show")

OPTIONS_WITH_VALUE = ("--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p")

SEARCH_KEYS = ("hparams_search", "callbacks.pruning")  # a run that is resumed alone is no longer part of a search


def set_run_folder(cfg: DictConfig) -> None:
    """Set the folder of the run, its overrides and, for an automatic resume, the run to resume."""
    hydra_config = HydraConfig.get()
    check_run_name(cfg.run.name)
    again = should_auto_resume(cfg, sweep=hydra_config.mode == RunMode.MULTIRUN)
    with open_dict(cfg):
        cfg.run.dir = hydra_config.runtime.output_dir
        cfg.run.overrides = [override for override in hydra_config.overrides.task if is_stored_override(override)]
        cfg.run.auto_resume = again
        if again and not cfg.resume and has_checkpoint(Path(cfg.run.dir)):
            cfg.resume = cfg.run.dir
        set_run_name(cfg)


def check_run_name(name: object) -> None:
    """Raise ValueError unless the name of a run is text that can name one folder."""
    if not isinstance(name, str):
        raise ValueError(f"run.name must be text (in a YAML, in quotes), got {name}")
    if not name.strip() or name in (".", "..") or "/" in name or "\0" in name or len(name.encode()) > MAX_NAME_BYTES:
        rule = f"the name of a folder: not empty, not . or .., without /, at most {MAX_NAME_BYTES} bytes"
        raise ValueError(f"run.name must be {rule}, got {name or 'an empty one'}")


def set_run_name(cfg: DictConfig) -> None:
    """Set the name and the group of the run for loggers: a sweep is the group of its jobs.

    A job that is resumed alone keeps both.
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
    """Return True if a run that exists is resumed without `resume=`, as for a job that torchrun restarts.

    A restart by torchrun resumes only an unnamed run: one that the user named may have been refused before the restart,
    because its folder existed.
    """
    unnamed = all(OmegaConf.is_interpolation(cfg.run, key) for key in ("name", "dir"))
    if cfg.run.auto_resume and unnamed and not sweep and environment.read_slurm_job_name() is None:
        raise ValueError("run.name must be given with run.auto_resume=true, or each start makes a new run, got none")
    return bool(cfg.run.auto_resume) or (unnamed and environment.is_restarted())


def is_stored_override(override: str) -> bool:
    """Return True if an override belongs to the run, and not to the place and the start of this process."""
    key = get_override_key(override)
    return not key.startswith(SEARCH_KEYS) and key not in LAUNCH_KEYS


def check_run_folder(cfg: DictConfig) -> None:
    """Raise ValueError unless the folder is new or can be resumed, and no other process works in it."""
    check_run_name(cfg.run.name)
    folder = Path(cfg.resume or cfg.run.dir)
    if cfg.resume:
        check_resumed_folder(folder)
    else:
        check_writable("run.dir", folder)
    if cfg.resume or (should_auto_resume(cfg) and has_checkpoint(folder)):
        check_links(
            "resume" if cfg.resume else "run.dir", folder, besides=(WANDB_FOLDER,)
        )  # where W&B keeps links to its logs
        check_resumable(cfg, folder)
    elif not should_auto_resume(cfg):
        check_new_folder(folder)
    check_unlocked(folder)


def expand_resume(argv: list[str]) -> list[str]:
    """Return a command line with the stored overrides of the run that `resume=FOLDER` names; typed ones win.

    Raises ValueError if the stored overrides name parts that a run folder may not.
    """
    path = read_text_value(argv, "resume")
    if path is None:
        return argv
    folder, chosen = split_run_path(Path(path))
    if chosen not in (None, Path(LAST_CHECKPOINT).stem):
        raise ValueError(f"resume must be a run or its {LAST_CHECKPOINT}: a run resumes from its end, got {path}")
    typed = {get_override_key(word) for word in argv}
    stored = (read_config(folder, "resume").get("run") or {}).get("overrides", ())
    own = [override for override in stored if is_stored_override(override)]  # one of `trust`, say, is a stranger's
    remaining = [override for override in own if get_override_key(override) not in typed]
    check_stored_overrides(remaining, read_trusted_packages(parse_trust(argv)), folder)
    texts = {"resume": str(folder), "run.name": folder.resolve().name, "hydra.run.dir": str(folder)}
    options, overrides = split_options([word for word in argv if not word.startswith("resume=")])
    return [*options, *remaining, *overrides, *(f"{key}={quote_text(text)}" for key, text in texts.items())]


def split_options(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's options with their values, and the overrides, which must not stand on both sides of an option."""
    options: list[str] = []
    overrides: list[str] = []
    for word in argv:
        is_value = bool(options) and options[-1] in OPTIONS_WITH_VALUE and "=" not in word
        (options if word.startswith("-") or is_value else overrides).append(word)
    return options, overrides


def parse_trust(argv: Sequence[str]) -> object:
    """Return the value of the override `trust`; None without one."""
    trust_overrides = [word for word in argv if get_override_key(word) == "trust"]
    return parse_overrides(trust_overrides)[-1].value() if trust_overrides else None
