"""Means over training seeds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf

from gantry.compare.interval import Interval, confidence_interval
from gantry.runs.folder import write_config
from gantry.runs.summary import write_summary
from gantry.sweeps.hydra_callbacks import SweepTablesCallback
from gantry.sweeps.seeds import format_seeds_table, write_seeds_table


def job(
    sweep: Path, number: int, told: list[str], seed: int, fid: float | None, samples: int = 10, done: int = 3
) -> None:
    folder = sweep / str(number)
    cfg = {"turns": 3, "seed": seed, "run": {"overrides": [*told, f"seed={seed}"]}}
    write_config(OmegaConf.create(cfg), folder)
    entry = {"scores": {"fid": fid}, "protocol": {"num_samples": samples, "checkpoint": "last"}}
    selecting = {"scores": {"fid": -1.0}, "protocol": {"num_samples": 5}}
    write_summary(folder, {"last": selecting, "report": {"last": entry, "best": entry}, "turns": done})


def stored(sweep: Path) -> list[dict[str, Any]]:
    return list(json.loads((sweep / "seeds.json").read_text()))


def test_the_interval_is_students() -> None:
    # t with 2 degrees of freedom is 4.3027 at 97.5 %; the standard deviation of 1, 2, 3 is 1
    assert confidence_interval([1.0, 2.0, 3.0]).mean == 2.0
    assert confidence_interval([1.0, 2.0, 3.0]).half == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert confidence_interval([4.0]) == Interval(4.0, None, 1)
    assert (str(confidence_interval([1.0, 2.0, 3.0])), str(confidence_interval([4.0]))) == ("2 ± 2.5", "4")


def test_jobs_that_differ_in_the_seed_alone_are_taken_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (model, seed, fid) in enumerate([("a", 1, 1.0), ("a", 2, 3.0), ("b", 1, 5.0), ("b", 2, 5.0)]):
        job(tmp_path, number, [f"model={model}"], seed, fid)
    (tmp_path / "9").mkdir()  # a job that never began
    write_config(
        OmegaConf.create({"turns": 3, "seed": 3, "run": {"overrides": ["model=a", "seed=3"]}}), tmp_path / "8"
    )  # nor ended
    SweepTablesCallback().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    first, second = stored(tmp_path)
    assert (first["what"], first["seeds"]) == (["model=a"], [1, 2])
    half = 12.7062 * 2**0.5 / 2**0.5
    assert first["places"]["best"]["fid"] == {"mean": 2.0, "half": pytest.approx(half, rel=1e-4), "n": 2}
    assert second["places"]["last"]["fid"] == {"mean": 5.0, "half": 0.0, "n": 2}
    assert "| model=b | 2 | fid | 5 ± 0 | 5 ± 0 |" in (tmp_path / "seeds.md").read_text()
    assert "| model=a | 2 | fid | 2 ± 13 | 2 ± 13 |" in capsys.readouterr().out


def test_numbers_that_were_measured_otherwise_are_left_out(tmp_path: Path) -> None:
    job(tmp_path, 0, ["model=a"], 1, 1.0)
    job(tmp_path, 1, ["model=a"], 2, 3.0, samples=20)
    job(tmp_path, 2, ["model=a"], 3, 2.0)
    said = write_seeds_table(tmp_path)
    assert said is not None
    assert "- model=a: seed 2 is left out of last, measured otherwise: num_samples: 10 and 20\n" in said
    assert "| model=a | 2 | fid | 1.5 ± " in said  # two of the three
    assert stored(tmp_path)[0]["places"]["last"]["fid"]["mean"] == 1.5
    assert len(stored(tmp_path)[0]["left_out"]) == 2


def test_two_numbers_of_seeds_where_best_and_last_differ() -> None:
    places = {"best": {"fid": Interval(1.0, 0.5, 2)}, "last": {"fid": Interval(2.0, 0.5, 3)}}
    row = {"what": [], "seeds": [1, 2, 3], "places": places, "left_out": []}
    assert format_seeds_table([row]).endswith("| default | 2 / 3 | fid | 1 ± 0.5 | 2 ± 0.5 |\n")


def test_an_interrupted_job_is_not_a_finished_one(tmp_path: Path) -> None:
    job(tmp_path, 0, [], 1, 1.0)
    job(tmp_path, 1, [], 2, 2.0)
    job(tmp_path, 2, [], 3, 9.0, done=2)
    write_seeds_table(tmp_path)
    assert stored(tmp_path)[0]["seeds"] == [1, 2]


def test_the_table_grows_with_every_job_of_a_sweep_and_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(mode: RunMode) -> None:
        config = OmegaConf.create({"hydra": {"mode": mode, "sweep": {"dir": str(tmp_path)}}})
        SweepTablesCallback().on_job_end(config, JobReturn())

    job(tmp_path, 0, [], 1, 1.0)
    job(tmp_path, 1, [], 2, 2.0)
    ends(RunMode.RUN)
    assert not (tmp_path / "seeds.md").exists()
    ends(RunMode.MULTIRUN)
    assert stored(tmp_path)[0]["seeds"] == [1, 2]
    job(tmp_path, 2, [], 3, 3.0)
    ends(RunMode.MULTIRUN)
    assert stored(tmp_path)[0]["seeds"] == [1, 2, 3]
    assert capsys.readouterr().out == ""


def test_a_diverged_seed_leaves_its_score_out_and_one_seed_makes_no_table(tmp_path: Path) -> None:
    job(tmp_path, 0, [], 1, 1.0)
    assert write_seeds_table(tmp_path) is None
    assert not (tmp_path / "seeds.md").exists()
    job(tmp_path, 1, [], 2, None)
    write_seeds_table(tmp_path)
    assert stored(tmp_path)[0]["places"]["last"] == {}
