"""Means over training seeds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf

from gantry.compare.comparison import compare_runs
from gantry.compare.find_runs import read_runs
from gantry.compare.groups import Interval, confidence_interval
from gantry.runs.folder import write_config
from gantry.runs.summary import write_summary
from gantry.sweeps.hydra_callbacks import SweepTablesCallback
from gantry.sweeps.seeds import SeedSummary, format_seeds_table, write_seeds_table


def write_job(
    sweep: Path, number: int, model: str, seed: int, fid: float | None, num_samples: int = 10, turns: int = 3
) -> None:
    """Write the folder of a job of 3 turns."""
    write_job_config(sweep / str(number), model, seed)
    entry = {"scores": {"fid": fid, "fid_std": 1.0}, "protocol": {"num_samples": num_samples, "checkpoint": "last"}}
    in_training = {"scores": {"fid": -1.0}, "protocol": {"num_samples": 5}}
    entries = {"last": in_training, "report": {"last": entry, "best": entry}, "turns": turns}
    write_summary(sweep / str(number), entries)


def write_job_config(folder: Path, model: str, seed: int) -> None:
    overrides = [*([f"model={model}"] if model else []), f"seed={seed}"]
    config = {"turns": 3, "seed": seed, "model": {"name": model}, "run": {"overrides": overrides}}
    write_config(OmegaConf.create(config), folder)


def write_table(sweep: Path) -> str | None:
    runs = read_runs([str(sweep)])
    return write_seeds_table(compare_runs(runs.runs), sweep)


def read_rows(sweep: Path) -> list[dict[str, Any]]:
    return list(json.loads((sweep / "seeds.json").read_text()))


def test_the_interval_is_students() -> None:
    # t with 2 degrees of freedom is 4.3027 at 97.5 %; the standard deviation of 1, 2, 3 is 1
    assert confidence_interval([1.0, 2.0, 3.0]).mean == 2.0
    assert confidence_interval([1.0, 2.0, 3.0]).half == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert confidence_interval([4.0]) == Interval(4.0, None, 1)
    assert (str(confidence_interval([1.0, 2.0, 3.0])), str(confidence_interval([4.0]))) == ("2 ± 2.5", "4")


def test_jobs_that_differ_only_in_the_seed_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (model, seed, fid) in enumerate([("a", 1, 1.0), ("a", 2, 3.0), ("b", 1, 5.0), ("b", 2, 5.0)]):
        write_job(tmp_path, number, model, seed, fid)
    (tmp_path / "9").mkdir()  # a job that never started
    write_job_config(tmp_path / "8", "a", 3)  # one that has not ended
    SweepTablesCallback().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    first, second = read_rows(tmp_path)
    assert (first["overrides"], first["seeds"]) == (["model=a"], [1, 2])
    half = 12.7062 * 2**0.5 / 2**0.5
    assert first["scores"]["best"]["fid"] == {"mean": 2.0, "half": pytest.approx(half, rel=1e-4), "n": 2}
    assert second["scores"]["last"]["fid"] == {"mean": 5.0, "half": 0.0, "n": 2}
    assert "| model=b | 2 | fid | 5 ± 0 | 5 ± 0 |" in (tmp_path / "seeds.md").read_text()
    assert "| model=a | 2 | fid | 2 ± 13 | 2 ± 13 |" in capsys.readouterr().out


def test_jobs_without_differing_settings_are_one_row(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2)):
        write_job(tmp_path, number, "a", seed, fid=2.0)
    assert write_table(tmp_path) == (
        "| jobs | seeds | score | best | last |\n|---|---|---|---|---|\n| model=a | 2 | fid | 2 ± 0 | 2 ± 0 |\n"
    )


def test_jobs_with_another_protocol_are_left_out(tmp_path: Path) -> None:
    write_job(tmp_path, 0, "a", 1, 1.0)
    write_job(tmp_path, 1, "a", 2, 3.0, num_samples=20)
    write_job(tmp_path, 2, "a", 3, 2.0)
    table = write_table(tmp_path)
    assert table is not None
    assert "- model=a: seed 2 is left out of last, measured otherwise: num_samples: 10 and 20\n" in table
    assert "| model=a | 2 | fid | 1.5 ± " in table  # two of the three
    (row,) = read_rows(tmp_path)
    assert row["seeds"] == [1, 2, 3]
    assert row["scores"]["last"]["fid"]["mean"] == 1.5
    assert len(row["left_out"]) == 2


def test_best_and_last_may_have_different_numbers_of_seeds() -> None:
    scores = {"best": {"fid": Interval(1.0, 0.5, 2)}, "last": {"fid": Interval(2.0, 0.5, 3)}}
    table = format_seeds_table([SeedSummary((), (1, 2, 3), scores, ())])
    assert table.endswith("| default | 2 / 3 | fid | 1 ± 0.5 | 2 ± 0.5 |\n")


def test_an_interrupted_job_does_not_count(tmp_path: Path) -> None:
    write_job(tmp_path, 0, "", 1, 1.0)
    write_job(tmp_path, 1, "", 2, 2.0)
    write_job(tmp_path, 2, "", 3, 9.0, turns=2)
    write_table(tmp_path)
    assert read_rows(tmp_path)[0]["seeds"] == [1, 2]


def test_the_table_grows_with_every_job_of_a_sweep_without_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def end_job(mode: RunMode) -> None:
        config = OmegaConf.create({"hydra": {"mode": mode, "sweep": {"dir": str(tmp_path)}}})
        SweepTablesCallback().on_job_end(config, JobReturn())

    write_job(tmp_path, 0, "", 1, 1.0)
    write_job(tmp_path, 1, "", 2, 2.0)
    end_job(RunMode.RUN)
    assert not (tmp_path / "seeds.md").exists()
    end_job(RunMode.MULTIRUN)
    assert read_rows(tmp_path)[0]["seeds"] == [1, 2]
    write_job(tmp_path, 2, "", 3, 3.0)
    end_job(RunMode.MULTIRUN)
    assert read_rows(tmp_path)[0]["seeds"] == [1, 2, 3]
    assert capsys.readouterr().out == ""


def test_a_diverged_seed_leaves_its_score_out_and_one_seed_writes_no_table(tmp_path: Path) -> None:
    write_job(tmp_path, 0, "", 1, 1.0)
    assert write_table(tmp_path) is None
    assert not (tmp_path / "seeds.md").exists()
    write_job(tmp_path, 1, "", 2, None)
    assert write_table(tmp_path) is None  # and an empty table is not printed
    assert read_rows(tmp_path)[0]["scores"]["last"] == {}


def test_runs_without_scores_have_no_table(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_job_config(tmp_path / str(seed), "", seed)
        write_summary(tmp_path / str(seed), {"turns": 3})
    assert write_table(tmp_path) is None
    assert not (tmp_path / "seeds.md").exists()
