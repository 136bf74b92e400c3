"""Means over training seeds."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gantry.runs.run_folder import write_config
from gantry.runs.seeds import AfterSweep, Interval, interval, write_seeds
from gantry.runs.summary import write_summary


def job(sweep: Path, number: int, told: list[str], seed: int, fid: float | None, samples: int = 10) -> None:
    folder = sweep / str(number)
    cfg = {"seed": seed, "run": {"overrides": [*told, f"seed={seed}"]}}
    write_config(OmegaConf.create(cfg), folder)
    entry = {"scores": {"fid": fid}, "protocol": {"num_samples": samples, "checkpoint": "last"}}
    selecting = {"scores": {"fid": -1.0}, "protocol": {"num_samples": 5}}
    write_summary(folder, {"last": selecting, "report": {"last": entry, "best": entry}, "turns": 3})


def stored(sweep: Path) -> list[dict[str, Any]]:
    return list(json.loads((sweep / "seeds.json").read_text()))


def test_the_interval_is_students() -> None:
    # t with 2 degrees of freedom is 4.3027 at 97.5 %; the standard deviation of 1, 2, 3 is 1
    assert interval([1.0, 2.0, 3.0]).mean == 2.0
    assert interval([1.0, 2.0, 3.0]).half == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert interval([4.0]) == Interval(4.0, None, 1)
    assert (str(interval([1.0, 2.0, 3.0])), str(interval([4.0]))) == ("2 ± 2.5", "4")


def test_jobs_that_differ_in_the_seed_alone_are_taken_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (model, seed, fid) in enumerate([("a", 1, 1.0), ("a", 2, 3.0), ("b", 1, 5.0), ("b", 2, 5.0)]):
        job(tmp_path, number, [f"model={model}"], seed, fid)
    (tmp_path / "9").mkdir()  # a job that never began
    write_config(
        OmegaConf.create({"seed": 3, "run": {"overrides": ["model=a", "seed=3"]}}), tmp_path / "8"
    )  # nor ended
    AfterSweep().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    first, second = stored(tmp_path)
    assert (first["what"], first["seeds"]) == (["model=a"], [1, 2])
    half = 12.7062 * 2**0.5 / 2**0.5
    assert first["places"]["best"]["fid"] == {"mean": 2.0, "half": pytest.approx(half, rel=1e-4), "n": 2}
    assert second["places"]["last"]["fid"] == {"mean": 5.0, "half": 0.0, "n": 2}
    assert "| model=b | 2 | fid | 5 ± 0 | 5 ± 0 |" in (tmp_path / "seeds.md").read_text()
    assert "| model=a | 2 | fid | 2 ± 13 | 2 ± 13 |" in capsys.readouterr().out


def test_numbers_that_were_measured_otherwise_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job(tmp_path, 0, [], 1, 1.0)
    job(tmp_path, 1, [], 2, 3.0, samples=20)
    job(tmp_path, 2, [], 3, 2.0)
    with caplog.at_level(logging.WARNING):
        write_seeds(tmp_path)
    assert "seed 2 is left out of the mean, measured otherwise: num_samples: 10 and 20" in caplog.text
    assert stored(tmp_path)[0]["places"]["last"]["fid"]["mean"] == 1.5


def test_a_diverged_seed_leaves_its_score_out_and_one_seed_makes_no_table(tmp_path: Path) -> None:
    job(tmp_path, 0, [], 1, 1.0)
    assert write_seeds(tmp_path) is None
    assert not (tmp_path / "seeds.md").exists()
    job(tmp_path, 1, [], 2, None)
    write_seeds(tmp_path)
    assert stored(tmp_path)[0]["places"]["last"] == {}
