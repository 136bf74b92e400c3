"""The state that a training process starts from: nothing, a checkpoint, or a run that is finished already."""

import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from gantry.distributed import environment
from gantry.errors import UserError
from gantry.files import remove_partial_files
from gantry.runs.checkpoint import find_newest_checkpoint, has_checkpoint
from gantry.runs.folder import check_same_config, check_turns, list_config_changes
from gantry.runs.layout import CONFIG_FILE
from gantry.runs.new_folder import check_new_folder, remove_failed_start
from gantry.runs.status import is_finished
from gantry.runs.summary import read_summary

log = logging.getLogger(__name__)


def look_for_checkpoint(cfg: DictConfig, folder: Path) -> None:
    """Look again, under the lock, for the run that `run.auto_resume` resumes: it may have been trained meanwhile."""
    if cfg.resume or not cfg.run.auto_resume or not has_checkpoint(folder):
        return
    if environment.is_externally_launched():  # the other ranks have looked already, and would start a new run
        raise UserError(f"run.dir must be a folder in which no other process trains, got {folder}")
    cfg.resume = str(folder)


def is_finished_already(cfg: DictConfig, folder: Path) -> bool:
    """Return True if the run to resume has nothing left to do. Raises UserError if its folder does not fit."""
    if not (cfg.resume or (cfg.run.auto_resume and (folder / CONFIG_FILE).is_file())):
        return False
    if not is_finished(folder, 0):
        return False
    check_same_config(cfg, folder)
    check_turns(cfg.turns, read_summary(folder)["turns"], folder)
    return is_finished(folder, cfg.turns)


def find_start_checkpoint(cfg: DictConfig, folder: Path) -> Path | None:
    """Return the checkpoint of the run to resume, None for a new run. Raises UserError if its folder does not fit."""
    is_first_rank = environment.read_ranks().rank == 0
    if cfg.resume:
        check_same_config(cfg, folder)
        checkpoint = find_newest_checkpoint(folder)
        check_turns(cfg.turns, read_turn(checkpoint), folder)
        if is_first_rank:
            remove_partial_files(folder)
            for change in list_config_changes(cfg, folder):
                log.warning("configuration changed on resuming: %s", change)
        return checkpoint
    if is_first_rank:
        if not cfg.run.auto_resume:
            check_new_folder(folder)
        remove_failed_start(folder)
    return None


def read_turn(checkpoint: Path) -> int:
    """Return the turn at which a checkpoint was written, without reading its tensors."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return int(state.get("global_step", 0)) if isinstance(state, dict) else 0
