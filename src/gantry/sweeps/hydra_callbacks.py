"""Hydra callbacks of a sweep: record failed jobs, write the tables after each job, warn about overloaded cores."""

import atexit
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gantry.config.rules import count_devices
from gantry.distributed.environment import count_cores
from gantry.errors import UserError, format_error
from gantry.runs.layout import SEEDS_MARKDOWN
from gantry.runs.status import write_job_failure

if TYPE_CHECKING:
    from gantry.compare.comparison import Comparison

log = logging.getLogger(__name__)


class SweepTablesCallback(Callback):
    """Write the tables of a sweep after every job, and the tables and figures when the process ends.

    Hydra does not call on_multirun_end if a job has failed, so an exit handler writes the final files.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        atexit.register(finish_sweep, Path(config.hydra.sweep.dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        in_sweep = config.hydra.mode == RunMode.MULTIRUN
        if job_return.status == JobStatus.FAILED:
            record_failed_job(config, job_return, in_sweep)
        if in_sweep:
            write_sweep_tables(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        sweep = Path(config.hydra.sweep.dir)
        table = write_sweep_tables(sweep)[1]
        if table:
            print(f"mean ± half of the 95 % interval over seeds ({sweep / SEEDS_MARKDOWN}):\n{table}")


def record_failed_job(config: DictConfig, job_return: JobReturn, in_sweep: bool) -> None:
    """Write the reason to the job's folder; in a sweep also to the log, since Hydra reports only one failure."""
    error = job_return._return_value  # the property raises it
    reason = format_error(error) if isinstance(error, UserError) else f"{type(error).__name__}: {format_error(error)}"
    write_job_failure(Path(config.hydra.runtime.output_dir), list(job_return.overrides or ()), reason)
    if in_sweep:
        log.error("this job failed: %s", reason, exc_info=None if isinstance(error, UserError) else error)


def finish_sweep(sweep: Path) -> None:
    """Write all tables and figures, and print how the jobs ended, which is best and where to look."""
    comparison, _ = write_sweep_tables(sweep)
    if comparison is not None:
        from gantry.sweeps.figures import write_sweep_figures  # imports matplotlib
        from gantry.sweeps.table import format_sweep_summary

        write_sweep_figures(comparison, sweep)
        print(format_sweep_summary(comparison, sweep))


def write_sweep_tables(sweep: Path) -> tuple["Comparison | None", str]:
    """Write the tables; return the comparison of the jobs (None before the first job) and seeds.md ("" if none)."""
    from gantry.sweeps.seeds import write_seeds_table  # imports numpy, which an error message need not wait for
    from gantry.sweeps.table import write_sweep_table

    try:
        comparison = write_sweep_table(sweep)
    except ValueError:
        return None, ""
    return comparison, write_seeds_table(comparison, sweep) or ""


class SweepLaunchCallback(Callback):
    """Print the use of the cores before the first job of a sweep."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        line = format_core_use(config, count_cores())
        if line is not None:
            print(line, file=sys.stderr)


def format_core_use(config: DictConfig, cores: int) -> str | None:
    """Return the cores that parallel jobs use, with a warning if there are too few; None for jobs one after another."""
    n_jobs = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if n_jobs is None:
        return None
    n_jobs = cores if n_jobs < 0 else n_jobs
    processes = count_devices(config.trainer.devices) or 1
    threads = max(processes, int(os.environ.get("OMP_NUM_THREADS", max(1, cores // n_jobs))))
    line = f"joblib: {n_jobs} jobs at a time, each of {processes} processes and {threads} threads"
    if n_jobs * threads > cores:
        remedy = "which slows all of them (hydra.launcher.n_jobs=N for fewer)"
        return f"warning: {line}: {n_jobs * threads} on {cores} cores, {remedy}"
    return f"{line}, on {cores} cores"
