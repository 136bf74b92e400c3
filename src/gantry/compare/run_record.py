"""A run as it is compared: read from its folder, whoever logged it and whatever has become of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from gantry.compare.wandb_offline import WandbRun, find_wandb_logs, read_wandb_run
from gantry.runs.folder import read_config
from gantry.runs.metrics_csv import Column, read_metrics
from gantry.runs.status import RunStatus, StatusReport, read_job, read_run_status
from gantry.runs.summary import read_summary
from gantry.values import flatten, unflatten

BEST_AND_LAST = ("best", "last")
SECONDS_COLUMN = "speed/seconds"


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run. `config` has flat names, `choices` the name chosen in each group.

    `places` (best, last) hold turn, scores and protocol: of the report (`reported`) or of the evaluation in training;
    `selected` has the scores of the latter that selected the best checkpoint.
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
        """Whether it has done all of its turns."""
        return self.status.state == RunStatus.FINISHED

    @property
    def seed(self) -> Any:
        """Of the training; what a job that never began was told."""
        told = (word.removeprefix("seed=") for word in self.overrides if word.startswith("seed="))
        return self.config.get("seed", next(told, None))

    @property
    def monitor(self) -> str | None:
        """The score that the run is judged by."""
        return self.config.get("metrics.monitor")

    def get_score(self, place: str, score: str) -> float | None:
        """A score; None where there is none or it was not finite."""
        value = self.entries.get(place, {}).get("scores", {}).get(score)
        return float(value) if value is not None and np.isfinite(value) else None


def read_run(folder: Path, name: str) -> RunRecord:
    """The run of a folder, from its files or else from W&B's. Raises ValueError, in one line, if there is none."""
    try:
        logs = find_wandb_logs(folder)
        if (folder / "config.yaml").is_file():
            return record_from_folder(folder, name, logs)
        if logs:
            return record_from_wandb(folder, name, read_wandb_run(logs))
        job = read_job(folder)
        if "failed" in job:
            return RunRecord(
                name, folder, StatusReport(RunStatus.FAILED, job["failed"]), overrides=tuple(job.get("overrides", ()))
            )
    except Exception as error:  # a file may be broken in any way: this run is left out with a line, not the others
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from None
    raise ValueError("it has no config.yaml")


def record_from_folder(folder: Path, name: str, logs: Sequence[Path]) -> RunRecord:
    """A run from its own files; numbers and pictures that only W&B was given come from its logs."""
    config: Any = OmegaConf.to_container(read_config(folder), resolve=True)
    summary = read_summary(folder)
    told = tuple(config.get("run", {}).get("overrides", ()))
    report = summary.get("report", summary)
    pictures = {int(path.stem): path for path in folder.glob("samples/*.png") if path.stem.isdigit()}
    metrics: Mapping[str, Column] = read_metrics(folder)
    if logs and not (metrics and pictures):
        wandb = read_wandb_or_empty(logs)
        metrics, pictures = metrics or wandb.metrics, pictures or wandb.images
    return RunRecord(
        name=name,
        folder=folder,
        status=read_run_status(folder, summary.get("turns"), config.get("turns")),
        config=flatten(config),
        overrides=told,
        choices=read_job(folder).get("choices") or infer_choices(config, told),
        entries={place: report[place] for place in BEST_AND_LAST if place in report},
        has_report="report" in summary,
        selection_scores=summary.get("best", {}).get("scores", {}),
        metrics=metrics,
        image_paths=pictures,
        seconds=summary.get("seconds", last_finite_value(metrics, SECONDS_COLUMN)),
    )


def read_wandb_or_empty(logs: Sequence[Path]) -> WandbRun:
    """What W&B has written of a run, which is nothing as the run begins."""
    try:
        return read_wandb_run(logs)
    except ValueError:
        return WandbRun("", "", "", "", (), {}, {}, {}, {}, None)


def record_from_wandb(folder: Path, name: str, run: WandbRun) -> RunRecord:
    """A run of which there is nothing but what W&B wrote."""
    choices = {k: v for k, v in run.config.items() if any(other.startswith(f"{k}/") for other in run.config)}
    config = {key.replace("/", "."): value for key, value in run.config.items() if key not in choices}
    reported = any(key.startswith("report/") for key in run.summary)
    done, wanted = last_finite_value(run.metrics, "turn") or 0, config.get("turns") or 0
    ended = RunStatus.FINISHED if run.exit_code == 0 and done >= wanted else RunStatus.INTERRUPTED
    state = RunStatus.RUNNING if run.exit_code is None else ended
    return RunRecord(
        name=name,
        folder=folder,
        status=StatusReport(state, "" if state == RunStatus.FINISHED else f"at turn {done:,.0f} of {wanted:,}"),
        config=config,
        overrides=tuple(config.get("run.overrides") or ()),
        choices={key: str(value) for key, value in choices.items()},
        entries=entries_from_wandb(run, "report/" if reported else ""),
        has_report=reported,
        metrics=run.metrics,
        image_paths=run.images,
        seconds=last_finite_value(run.metrics, SECONDS_COLUMN),
    )


def entries_from_wandb(run: WandbRun, above: str) -> dict[str, dict[str, Any]]:
    """Best and last from the flat names of a W&B summary; of the protocol, W&B knows the one of last."""
    about = unflatten({k: v for k, v in run.config.items() if k.startswith(f"{above}protocol/")}, "/")
    protocol = about.get("report", about).get("protocol", {})
    places = {}
    for place in BEST_AND_LAST:
        start = f"{above}{place}/"
        scores = {key.removeprefix(start): value for key, value in run.summary.items() if key.startswith(start)}
        if scores:
            places[place] = {"scores": scores, "protocol": protocol | {"checkpoint": f"{place}, as W&B has it"}}
    return places


def infer_choices(config: Mapping[str, Any], told: tuple[str, ...]) -> dict[str, str]:
    """Names chosen on the command line, and those that stand in the configuration, where job.json does not say."""
    groups = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    words = [word.partition("=") for word in told]
    named = {key: str(value["name"]) for key, value in groups.items() if value.get("name")}
    return named | {key: value for key, _, value in words if key in groups}


def last_finite_value(metrics: Mapping[str, Column], name: str) -> float | None:
    """The last value of a column; None where there is none."""
    column = metrics.get(name, np.array([]))
    there = column[np.isfinite(column)]
    return float(there[-1]) if there.size else None
