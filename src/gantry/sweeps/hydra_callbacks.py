"""What Hydra calls beside the jobs: it writes down which failed, and the tables of a sweep."""

import atexit
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gantry.config.rules import count_devices
from gantry.distributed.environment import count_cores
from gantry.errors import UserError, format_error
from gantry.runs.layout import SEEDS_MARKDOWN, TABLE_MARKDOWN
from gantry.runs.status import write_job_failure
from gantry.sweeps.seeds import write_seeds_table

log = logging.getLogger(__name__)


class SweepTablesCallback(Callback):
    """Hydra calls it after every job, and when a sweep begins and ends; the latter not when a job has failed.

    A sweep ends with its process, then, however that ends: the tables are written and the pictures drawn once more.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        atexit.register(finish_sweep, Path(config.hydra.sweep.dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        swept = config.hydra.mode == RunMode.MULTIRUN
        if job_return.status == JobStatus.FAILED:
            record_failed_job(config, job_return, swept)
        if swept:
            sweep = Path(config.hydra.sweep.dir)
            write_seeds_table(sweep)
            write_tables_and_figures(sweep, pictures=False)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        sweep = Path(config.hydra.sweep.dir)
        said = write_seeds_table(sweep)
        if said is not None:
            print(f"mean ± half of the 95 % interval over seeds ({sweep / SEEDS_MARKDOWN}):\n{said}")


def record_failed_job(config: DictConfig, job_return: JobReturn, swept: bool) -> None:
    """Put the reason into the job's folder; of a sweep into the log, too, for Hydra shows one failure at the end."""
    error = job_return._return_value  # the property raises it
    reason = format_error(error) if isinstance(error, UserError) else f"{type(error).__name__}: {format_error(error)}"
    write_job_failure(Path(config.hydra.runtime.output_dir), list(job_return.overrides or ()), reason)
    if swept:
        log.error("this job failed: %s", reason, exc_info=None if isinstance(error, UserError) else error)


def finish_sweep(sweep: Path) -> None:
    """Write all tables and pictures, and say where they are."""
    said = write_tables_and_figures(sweep, pictures=True)
    if said:
        print(f"{said} ({sweep / TABLE_MARKDOWN})")


def write_tables_and_figures(sweep: Path, pictures: bool) -> str:
    """Write the tables, and the pictures if asked for; -> how many jobs ended how, "" if none has begun."""
    from gantry.sweeps.table import format_state_counts, write_sweep_table  # numpy, which a mistake need not wait for

    try:
        comparison = write_sweep_table(sweep)
    except ValueError:
        return ""
    if pictures:
        from gantry.sweeps.figures import write_sweep_figures  # matplotlib

        write_sweep_figures(comparison, sweep)
    return format_state_counts(comparison)


class SweepLaunchCallback(Callback):
    """Hydra calls it once, before the first job of a sweep."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        said = format_core_use(config, count_cores())
        if said is not None:
            print(said, file=sys.stderr)


def format_core_use(config: DictConfig, there: int) -> str | None:
    """What is to be said of jobs that run at a time on this machine; None of those that run one by one or elsewhere."""
    at_once = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if at_once is None:
        return None
    at_once = there if at_once < 0 else at_once
    count = count_devices(config.trainer.devices) or 1
    threads = int(os.environ.get("OMP_NUM_THREADS", max(1, there // at_once)))
    taken = at_once * max(count, threads)
    said = f"joblib: {at_once} jobs at a time, each of {count} processes and {max(count, threads)} threads"
    if taken > there:
        return f"warning: {said}: {taken} on {there} cores, which slows all of them (hydra.launcher.n_jobs=N for fewer)"
    return f"{said}, on {there} cores"
