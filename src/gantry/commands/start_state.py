"""The state that a training process starts from: nothing, a checkpoint, or a run that is finished already."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gantry.distributed import environment
from gantry.errors import UserError
from gantry.files import remove_partial_files
from gantry.runs.checkpoint import find_newest_checkpoint, has_checkpoint
from gantry.runs.folder import check_same_config, check_turns, list_config_changes
from gantry.runs.layout import CONFIG_FILE
from gantry.runs.new_folder import check_new_folder, remove_failed_start
from gantry.runs.status import read_finished_turns
from gantry.training.stored_state import is_stored_count, read_state

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
    done = read_finished_turns(folder)
    if done is None:
        return False
    check_same_config(cfg, folder)
    check_turns(cfg.turns, done, folder)
    return done == int(cfg.turns)


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
    """Return the turn at which a checkpoint was written, without reading its tensors. Raises UserError as `read_state`.

    It is 0 for a turn that is no count, which `check_checkpoint` refuses.
    """
    turn: Any = read_state(checkpoint).get("global_step")
    return int(turn) if is_stored_count(turn) else 0
