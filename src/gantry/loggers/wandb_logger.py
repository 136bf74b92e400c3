"""Weights & Biases as its users expect it: never a question, never in the way of training."""

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

from gantry.loggers.dispatch import FloatVector, Pixels
from gantry.loggers.wandb_login import WandbMode, choose_wandb_mode
from gantry.runs.layout import LOGGER_ID_FILE, WANDB_FOLDER
from gantry.values import flatten

log = logging.getLogger(__name__)
WANDB_SETTINGS: dict[str, Any] = {
    "console": "off",  # the run folder has its own log
    "silent": True,
    "init_timeout": 30,  # seconds that an unreachable server may delay the start,
    "finish_timeout": 120,  # and the end; what it then lacks stays on the disk
    "login_timeout": 5,
}


class WandbLogger(loggers.WandbLogger):
    """Lightning's, writing to `folder`/wandb, with a step that is the turn.

    Offline unless an API key is found; so, too, when the server cannot be reached as the run begins. The id
    of the run is kept in the folder, and a resumed run goes on under it.
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
        self._wandb_init |= {"group": group, "job_type": job_type, "tags": list(tags)}
        del self._wandb_init["anonymous"]  # W&B warns of it, whatever its value

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun when first asked for."""
        if self._experiment is None:
            wandb.finish()  # an earlier job of this process that did not end its own
            self._wandb_init["id"] = get_wandb_run_id(self.folder)
            self._experiment = init_online_or_offline(self._wandb_init)
            for name in ("turn", "kimg"):
                self._experiment.define_metric(name, hidden=True)
            self._experiment.define_metric("*", step_metric="turn")
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add numbers to the row of a turn. What a resumed run repeats W&B has already, and ignores."""
        self.experiment.log(dict(metrics), step=step)

    @rank_zero_only
    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None:
        """Show pixels uint8 [H, W, 1 or 3]; wandb.Image would make a black picture of floats."""
        self.experiment.log({name: wandb.Image(pixels), "turn": turn}, step=turn)

    @rank_zero_only
    def log_histogram(self, name: str, values: FloatVector, turn: int) -> None:
        """Show how values [N] are spread, in 64 bins."""
        self.experiment.log({name: wandb.Histogram(values.tolist()), "turn": turn}, step=turn)

    @rank_zero_only
    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Keep a generator's files as an artifact of the type `model`, with what is known of it as its metadata.

        W&B would copy them to a folder of the user's; offline they would be missing from the run once that is emptied
        or the run is moved to another machine. They are copied into W&B's own folder of the run instead, and stay.
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
        """Leave numbers in the summary, under flat names."""
        self.experiment.summary.update(dict(numbers))

    @rank_zero_only
    def close(self, success: bool) -> None:
        """End the run, so that the next job of this process gets one of its own."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if success else 1)
            self._experiment = None


def init_online_or_offline(arguments: Mapping[str, Any]) -> wandb.Run:
    """Return a W&B run: online where that works, else offline."""
    chosen = choose_wandb_mode(wandb.setup().settings.mode, os.environ)
    if chosen != "online":
        return init_wandb_run(arguments, chosen)
    try:
        return init_wandb_run(arguments, chosen)
    except Exception as error:  # whatever it is, training does not need W&B
        log.warning("W&B cannot be reached, this run is logged offline: %s", error)
        wandb.teardown()  # the failed run would keep its id occupied
        return init_wandb_run(arguments, "offline")


def init_wandb_run(arguments: Mapping[str, Any], chosen: WandbMode) -> wandb.Run:
    """Begin a W&B run in a mode, and say where it will be found."""
    if chosen == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would use the network
    run = wandb.init(**arguments, mode=chosen, settings=wandb.Settings(**WANDB_SETTINGS))
    if chosen == "online":
        log.info("W&B: %s", run.url)
    elif chosen == "offline":
        log.info("W&B is offline; to upload: wandb sync %s", Path(run.dir).parent)
    return run


def get_wandb_run_id(folder: Path) -> str:
    """Return the id of the run in this folder; where there is none the one that W&B's agent gave, or a new one."""
    path = folder / WANDB_FOLDER / LOGGER_ID_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8], encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
