"""Settings of launchers, and the line about parallel jobs."""

import pytest
from omegaconf import OmegaConf

from compose_config import list_choices
from gantry.config.resolvers import cpus, gpus, jobs_at_once, trials_at_once
from gantry.sweeps.hydra_callbacks import format_core_use


def config(n_jobs: int | None, devices: int) -> object:
    launcher = {} if n_jobs is None else {"n_jobs": n_jobs}
    return OmegaConf.create({"hydra": {"launcher": launcher}, "trainer": {"devices": devices}})


def format_use(n_jobs: int | None, devices: int = 1, there: int = 8) -> str | None:
    return format_core_use(config(n_jobs, devices), there)  # type: ignore[arg-type]


def test_more_threads_than_cores_give_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert format_use(None) is None
    assert format_use(4) == format_use(4, devices=2, there=8).replace("2 processes", "1 processes")  # type: ignore[union-attr]
    assert format_use(-1) == "joblib: 8 jobs at a time, each of 1 processes and 1 threads, on 8 cores"
    assert str(format_use(8, devices=2)).startswith(
        "warning: joblib: 8 jobs at a time, each of 2 processes and 2 threads: 16 on 8"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert str(format_use(4)).startswith(
        "warning: joblib: 4 jobs at a time, each of 1 processes and 4 threads: 16 on 8 cores"
    )


def test_jobs_fill_the_cores_and_take_turns_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.distributed.environment.count_cores", lambda: 8)
    assert [jobs_at_once("cpu", devices) for devices in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert jobs_at_once("cuda", 1) == 1


def test_trials_are_chosen_as_many_at_a_time_as_run() -> None:
    assert [trials_at_once(OmegaConf.create(one)) for one in ({}, {"n_jobs": 3}, {"array_parallelism": 8})] == [1, 3, 8]


def test_what_a_job_takes() -> None:
    assert [gpus("cuda", devices) for devices in (1, 4, -1, "auto")] == [1, 4, 1, 1]
    assert gpus("cuda", OmegaConf.create([0, 2])) == 2
    assert (gpus("cpu", 2), cpus("cpu", 2), cpus("cuda", 2)) == (0, 2, 8)


def test_every_launcher_has_a_configuration() -> None:
    assert list_choices("launcher") == ["basic", "joblib", "ray", "submitit_local", "submitit_slurm"]
