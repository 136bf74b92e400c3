"""Read the record of a run from its folder, whatever state the run is in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gantry.errors import UserError, format_on_one_line
from gantry.runs.folder import read_config_values
from gantry.runs.layout import CONFIG_FILE, METRICS_FILE, SAMPLES_FOLDER, SUMMARY_FILE, WANDB_FOLDER, list_sample_images
from gantry.runs.metrics_csv import Column, read_columns
from gantry.runs.status import RunStatus, StatusReport, read_choices, read_failed_job, read_run_status
from gantry.runs.summary import read_summary, select_best_and_last
from gantry.values import flatten

BEST_AND_LAST = ("best", "last")
SECONDS_COLUMN = "speed/seconds"


@dataclass(frozen=True)
class RunRecord:
    """A run as the comparison sees it. `config` has flat names, `choices` the option chosen in each config group.

    `entries` (best, last) hold turn, scores and protocol: those of the report if `has_report`, else those of the
    evaluations during training. `selection_scores` are the scores that selected the best checkpoint.
    """

    name: str
    folder: Path
    status: StatusReport
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    has_report: bool = False
    selection_scores: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Column] = field(default_factory=dict)
    image_paths: Mapping[int, Path] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def is_finished(self) -> bool:
        """Return True if the run has trained all of its turns."""
        return self.status.state == RunStatus.FINISHED

    @property
    def seed(self) -> Any:
        """Return the training seed; for a job that never started, the one in its overrides."""
        return self.config.get("seed", self.get_override("seed"))

    @property
    def monitor(self) -> str | None:
        """Return the name of the score that selects the best checkpoint."""
        return self.config.get("metrics.monitor")

    def get_override(self, key: str) -> str | None:
        """Return the value of a key in the overrides; None if it is not among them."""
        return next((value for name, _, value in (item.partition("=") for item in self.overrides) if name == key), None)

    def get_score(self, which: str, score: str) -> float | None:
        """Return a score of the best or the last checkpoint; None if it is missing or not finite."""
        value = self.entries.get(which, {}).get("scores", {}).get(score)
        return float(value) if value is not None and np.isfinite(value) else None


def read_run(folder: Path, name: str) -> RunRecord:
    """Read the run in a folder. Raises ValueError, in one line, if it cannot be read."""
    try:
        if (folder / CONFIG_FILE).is_file():
            return read_started_run(folder, name)
        if failed := read_failed_job(folder):
            return RunRecord(name, folder, StatusReport(RunStatus.FAILED, failed.reason), overrides=failed.overrides)
    except Exception as error:  # a file may be damaged in any way; the other runs are still compared
        raise ValueError(format_on_one_line(error, with_type=not isinstance(error, UserError), limit=400)) from None
    if has_wandb_files(folder):
        files = f"{CONFIG_FILE}, {METRICS_FILE} and {SUMMARY_FILE}"
        raise ValueError(f"it has only W&B files, and runs are read from {files}")
    raise ValueError(f"it has no {CONFIG_FILE}")


def has_wandb_files(folder: Path) -> bool:
    """Return True if W&B has written into a folder."""
    return any(folder.glob("*.wandb")) or any((folder / WANDB_FOLDER).glob("*run-*"))


def read_started_run(folder: Path, name: str) -> RunRecord:
    """Read a run that got as far as writing its configuration."""
    config = read_config_values(folder)
    summary, metrics = read_summary(folder), read_columns(folder)
    overrides = tuple(config.get("run", {}).get("overrides", ()))
    return RunRecord(
        name=name,
        folder=folder,
        status=read_run_status(folder, config.get("turns"), summary),
        config=flatten(config),
        overrides=overrides,
        choices=read_choices(folder) or infer_choices(config, overrides),
        entries=select_best_and_last(folder, summary),
        has_report="report" in summary,
        selection_scores=summary.get("best", {}).get("scores", {}),
        metrics=metrics,
        image_paths=list_sample_images(folder / SAMPLES_FOLDER),
        seconds=summary.get("seconds", last_finite_value(metrics, SECONDS_COLUMN)),
    )


def infer_choices(config: Mapping[str, Any], overrides: tuple[str, ...]) -> dict[str, str]:
    """Return the options chosen in the config groups, for a run without job.json: its overrides and `name` keys."""
    groups = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    names = {key: str(value["name"]) for key, value in groups.items() if value.get("name")}
    pairs = (item.partition("=") for item in overrides)
    return names | {key: value for key, _, value in pairs if key in groups}


def last_finite_value(metrics: Mapping[str, Column], name: str) -> float | None:
    """Return the last finite value of a column; None if there is none."""
    column = metrics.get(name, np.array([]))
    finite = column[np.isfinite(column)]
    return float(finite[-1]) if finite.size else None
