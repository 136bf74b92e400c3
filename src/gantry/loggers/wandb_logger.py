"""Weights & Biases: it never prompts, and never stops training."""

import logging
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from gantry.files import write_text
from gantry.loggers.dispatch import FloatVector, Pixels, read_logger_id
from gantry.loggers.wandb_login import WandbMode, choose_wandb_mode, set_cache_folder
from gantry.runs.layout import LOGGER_ID_FILE, WANDB_FOLDER
from gantry.values import flatten

log = logging.getLogger(__name__)
WANDB_SETTINGS: dict[str, Any] = {
    "console": "off",  # the run folder has its own log
    "silent": True,
    "init_timeout": 30,  # seconds that an unreachable server may delay the start of a run
    "finish_timeout": 120,  # and its end; whatever is not uploaded stays on the disk
    "login_timeout": 5,
}


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, writing to `folder`/wandb; its step is the turn.

    It is offline unless an API key is found and the server can be reached at the start. The id of the W&B run is stored
    in the folder, and a resumed run continues under it.
    """

    def __init__(
        self,
        folder: str,
        project: str,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        super().__init__(name=name, save_dir=folder, project=project)
        self.folder = Path(folder)
        self._wandb_init |= {"group": group, "job_type": job_type, "tags": merge_tags(tags, os.environ)}
        del self._wandb_init["anonymous"]  # W&B warns of it, whatever its value

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started at first use."""
        if self._experiment is None:
            set_cache_folder(self.folder / WANDB_FOLDER / "cache", os.environ)
            wandb.finish()  # an earlier job of this process may have left its own open
            self._wandb_init["id"] = get_wandb_run_id(self.folder)
            self._experiment = init_online_or_offline(self._wandb_init)
            for name in ("turn", "kimg"):
                self._experiment.define_metric(name, hidden=True)
            self._experiment.define_metric("*", step_metric="turn")
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the numbers of a turn. W&B ignores turns that a resumed run repeats: it has them already."""
        self.experiment.log(dict(metrics), step=step)

    @rank_zero_only
    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None:
        """Log an image, uint8 [H, W, 1 or 3]; wandb.Image would turn floats into a black image."""
        self.experiment.log({name: wandb.Image(pixels), "turn": turn}, step=turn)

    @rank_zero_only
    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None:
        """Log a histogram of values [N] with 64 bins."""
        self.experiment.log({name: wandb.Histogram(values.tolist()), "turn": turn}, step=turn)

    @rank_zero_only
    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Store the files of a generator as an artifact of the type `model`, with its metadata.

        They are copied into W&B's folder of the run. W&B's own copy would be in a cache of the user, and an offline run
        would lack them once the cache is cleared or the run is moved to another machine.
        """
        run = self.experiment
        copy = Path(run.dir).parent / "artifact"
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        artifact = wandb.Artifact(f"generator-{run.id}", "model", metadata=flatten(about, "/"))
        for path in (path for path in sorted(copy.rglob("*")) if path.is_file()):  # add_dir prints a line
            artifact.add_file(str(path), str(path.relative_to(copy)), policy="immutable")
        run.log_artifact(artifact, aliases=["best", "latest"])

    @rank_zero_only
    def log_summary(self, numbers: Mapping[str, float]) -> None:
        """Write numbers to the summary, under flat names."""
        self.experiment.summary.update(dict(numbers))

    @rank_zero_only
    def close(self, success: bool) -> None:
        """End the W&B run, so that the next job of this process starts another one."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if success else 1)
            self._experiment = None


def merge_tags(tags: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the tags with those of WANDB_TAGS, which W&B would leave out beside any others: a,b."""
    more = (tag.strip() for tag in environment.get("WANDB_TAGS", "").split(","))
    return list(dict.fromkeys([*tags, *(tag for tag in more if tag)]))


def init_online_or_offline(arguments: Mapping[str, Any]) -> wandb.Run:
    """Return a W&B run: online if that works, else offline."""
    chosen = choose_wandb_mode(wandb.setup().settings.mode, os.environ)
    if chosen != "online":
        return init_wandb_run(arguments, chosen)
    try:
        return init_wandb_run(arguments, chosen)
    except Exception as error:  # of any kind: training does not need W&B
        log.warning("W&B cannot be reached: %s. This run is logged offline", error)
        wandb.teardown()  # the failed run would keep its id occupied
        return init_wandb_run(arguments, "offline")


def init_wandb_run(arguments: Mapping[str, Any], chosen: WandbMode) -> wandb.Run:
    """Start a W&B run in a mode, and log its address."""
    if chosen == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would use the network
    run = wandb.init(**arguments, mode=chosen, settings=wandb.Settings(**WANDB_SETTINGS))
    if chosen == "online":
        log.info("W&B: %s", run.url)
    elif chosen == "offline":
        log.info("W&B is offline. To upload: wandb sync %s", Path(run.dir).parent)
    return run


def get_wandb_run_id(folder: Path) -> str:
    """Return the stored id of the W&B run in this folder, else that of W&B's agent, else a new one."""
    path = folder / WANDB_FOLDER / LOGGER_ID_FILE
    run_id = read_logger_id(path)
    if run_id is None:
        run_id = os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8]
        write_text(path, run_id)
    return run_id
