"""What a comparison says of runs: what differs, what is best and why, and what cannot be compared."""

import json
import os
import platform
from pathlib import Path

import pytest

from fake_runs import write_fake_run, write_fake_sweep
from gantry.compare.comparison import Comparison, compare_runs, format_verdict, list_remarks
from gantry.compare.find_runs import read_runs
from gantry.runs import status
from gantry.runs.layout import JOB_FILE


def compared(*folders: Path) -> Comparison:
    found = read_runs([str(folder) for folder in folders])
    return compare_runs(found.runs, found.unreadable)


def test_a_sweep_is_told_apart_by_what_was_swept_and_the_best_is_named(tmp_path: Path) -> None:
    comparison = compared(write_fake_sweep(tmp_path / "sweep"))
    assert list(comparison.columns) == ["model", "loss"]
    assert [one.label for one in comparison.ranking] == [
        "model=dcgan loss=hinge",
        "model=dcgan loss=nonsaturating",
        "model=mlp loss=hinge",
        "model=mlp loss=nonsaturating",
    ]
    best = comparison.ranking[0].intervals["best/fd_digits"]
    assert (best.mean, best.n) == (pytest.approx(20.15), 2)
    assert best.half == pytest.approx(12.7062 * 0.05, rel=1e-4)  # t with one degree of freedom; stdev / sqrt 2 = 0.05
    said = format_verdict(comparison)
    assert said.startswith("Best: model=dcgan loss=hinge with fd_digits 20.15 ± 0.64 (mean of 2 seeds, 95 % interval).")
    assert "their intervals do not overlap" in said
    assert list_remarks(comparison) == []


def test_what_matters_most_comes_first_with_its_mean_over_matched_settings(tmp_path: Path) -> None:
    reasons = compared(write_fake_sweep(tmp_path)).effects
    assert list(reasons) == ["model", "loss"]
    means, count = reasons["model"]
    assert means == {"mlp": pytest.approx(42.15), "dcgan": pytest.approx(22.15)}
    assert count == 2
    assert reasons["loss"][0]["nonsaturating"] - reasons["loss"][0]["hinge"] == pytest.approx(4.0)


def test_a_value_gets_no_credit_for_what_came_with_it(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", "loss=hinge", fd=1.0)
    write_fake_run(tmp_path / "b", "model=dcgan", "loss=lsgan", fd=9.0)
    reasons = compared(tmp_path).effects
    assert reasons == {"model, loss": ({"mlp, hinge": 1.0, "dcgan, lsgan": 9.0}, 1)}
    write_fake_run(tmp_path / "c", "model=dcgan", "loss=hinge", fd=7.0)
    assert compared(tmp_path).effects == {  # of the models with hinge alone, of the losses with dcgan alone
        "model": ({"mlp": 1.0, "dcgan": 7.0}, 1),
        "loss": ({"hinge": 7.0, "lsgan": 9.0}, 1),
    }


def test_keys_that_follow_from_a_choice_are_no_columns_and_told_ones_are(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", "recipe.lr=1", config={"model": {"width": 8}, "optim": {"lr": 1}})
    write_fake_run(tmp_path / "b", "model=dcgan", "recipe.lr=2", config={"model": {"width": 16}, "optim": {"lr": 2}})
    comparison = compared(tmp_path)
    assert list(comparison.columns) == ["model", "recipe.lr"]
    assert set(comparison.dependent_columns) == {"model.name", "model.width", "optim.lr"}


def test_a_key_that_nobody_told_is_a_column_where_nothing_else_tells_two_runs_apart(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", config={"optim": {"lr": 1.0}})
    write_fake_run(tmp_path / "b", "model=mlp", config={"optim": {"lr": 2.0}})
    comparison = compared(tmp_path)
    assert list(comparison.columns) == ["optim.lr"]
    assert [one.values for one in comparison.groups] == [("1",), ("2",)]


def test_numbers_measured_otherwise_are_not_ranked_and_the_difference_is_said(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_fake_run(tmp_path / f"a{seed}", "model=mlp", fd=30.0, seed=seed)
    write_fake_run(tmp_path / "b", "model=dcgan", fd=1.0, measured={"num_samples": 7})
    comparison = compared(tmp_path)
    assert comparison.protocol_labels == ("A", "A", "B")
    assert [one.label for one in comparison.ranking] == ["model=mlp"]
    assert "not comparable with A: num_samples: 500 and 7" in "\n".join(list_remarks(comparison))


def test_a_generator_without_batchnorm_and_another_rule_of_choice_are_measured_alike(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", measured={"batchnorm": "none in G"})
    write_fake_run(tmp_path / "b", "model=dcgan", measured={"batchnorm": "running", "checkpoint": "every 10 turns"})
    write_fake_run(tmp_path / "c", "model=sngan", measured={"batchnorm": "batch"})
    comparison = compared(tmp_path)
    assert comparison.protocol_labels == ("A", "A", "B")
    assert "1 best by: every 10 turns" in list_remarks(comparison)


def test_different_data_sets_are_said(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "data=digits")
    write_fake_run(tmp_path / "b", "data=mnist", measured={"real": "mnist"})
    said = list_remarks(compared(tmp_path))
    assert "the runs are of different data sets (digits, mnist): their numbers cannot be compared" in said
    assert any("real: digits and mnist" in line for line in said)


def test_one_seed_tells_nothing_and_no_score_is_said(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", fd=1.0)
    write_fake_run(tmp_path / "b", "model=dcgan", fd=2.0)
    assert format_verdict(compared(tmp_path)).endswith("with one seed nothing tells merit from luck.")
    lone = write_fake_run(tmp_path / "c", done=None)
    assert format_verdict(compared(lone)) == "No run has a score to be judged by yet."


def test_runs_that_have_not_finished_get_a_line_and_no_rank(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "done", "model=mlp", fd=5.0)
    write_fake_run(tmp_path / "stopped", "model=dcgan", done=40)
    write_fake_run(tmp_path / "killed", "model=sngan", done=None)
    going = write_fake_run(tmp_path / "going", "model=resnet", done=None)
    (going / JOB_FILE).write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
    lost = tmp_path / "lost"
    status.write_job_failure(lost, ["model=mlp_conv", "seed=4"], "model.G.width must be an integer, got x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [")
    (tmp_path / "empty").mkdir()
    comparison = compared(tmp_path)
    said = list_remarks(comparison)
    assert "stopped is interrupted: at turn 40 of 100" in said
    assert "killed is interrupted: before its end" in said
    assert "going is running" in said
    assert "lost is failed: model.G.width must be an integer, got x" in said
    (line,) = [line for line in said if line.startswith("broken is left out: ")]
    assert "\n" not in line
    assert [one.label for one in comparison.ranking] == ["model=mlp"]
    assert len(comparison.runs) == 5
    assert comparison.columns["model"] == ["mlp", "resnet", "sngan", "mlp_conv", "dcgan"]


def test_a_seed_that_ran_twice_counts_once(tmp_path: Path) -> None:
    for name, fd in (("a", 1.0), ("b", 3.0)):
        write_fake_run(tmp_path / name, "model=mlp", fd=fd)
    (only,) = compared(tmp_path).groups
    assert (only.intervals["best/fd_digits"].mean, only.intervals["best/fd_digits"].n) == (3.0, 1)


def test_folders_are_runs_sweeps_or_many_of_either_each_once(tmp_path: Path) -> None:
    write_fake_sweep(tmp_path / "sweeps" / "s")
    write_fake_run(tmp_path / "alone", "model=mlp")
    found = read_runs([str(tmp_path / "sweeps" / "s"), str(tmp_path), str(tmp_path / "alone")])
    assert [run.name for run in found.runs] == [*(f"sweeps/s/{i}" for i in range(8)), "alone"]


@pytest.mark.parametrize("folders", [["missing"], ["empty"], ["bad"]])
def test_no_run_is_one_line(folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.log").touch()
    with pytest.raises(ValueError, match=r"^runs must be folders of runs, got") as caught:
        read_runs(folders)
    assert "\n" not in str(caught.value)
