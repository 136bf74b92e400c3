"""Comparisons: what differs between runs, which setting is best and why, and what cannot be compared."""

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


def read_comparison(*folders: Path) -> Comparison:
    result = read_runs([str(folder) for folder in folders])
    return compare_runs(result.runs, result.unreadable)


def test_the_columns_are_the_swept_keys_and_the_verdict_names_the_best_setting(tmp_path: Path) -> None:
    comparison = read_comparison(write_fake_sweep(tmp_path / "sweep"))
    assert list(comparison.columns) == ["model", "loss"]
    assert [group.label for group in comparison.ranking] == [
        "model=dcgan loss=hinge",
        "model=dcgan loss=nonsaturating",
        "model=mlp loss=hinge",
        "model=mlp loss=nonsaturating",
    ]
    best = comparison.ranking[0].intervals["best/fd_digits"]
    assert (best.mean, best.n) == (pytest.approx(20.15), 2)
    assert best.half == pytest.approx(12.7062 * 0.05, rel=1e-4)  # t with one degree of freedom; stdev / sqrt 2 = 0.05
    verdict = format_verdict(comparison)
    assert verdict.startswith(
        "Best: model=dcgan loss=hinge with fd_digits 20.15 ± 0.64 (mean of 2 seeds, 95 % interval)."
    )
    assert "their intervals do not overlap" in verdict
    assert list_remarks(comparison) == []


def test_the_strongest_effect_comes_first_with_means_over_matched_settings(tmp_path: Path) -> None:
    effects = read_comparison(write_fake_sweep(tmp_path)).effects
    assert list(effects) == ["model", "loss"]
    means, count = effects["model"]
    assert means == {"mlp": pytest.approx(42.15), "dcgan": pytest.approx(22.15)}
    assert count == 2
    assert effects["loss"][0]["nonsaturating"] - effects["loss"][0]["hinge"] == pytest.approx(4.0)


def test_a_value_gets_no_credit_for_what_changed_along_with_it(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", "loss=hinge", fd=1.0)
    write_fake_run(tmp_path / "b", "model=dcgan", "loss=lsgan", fd=9.0)
    effects = read_comparison(tmp_path).effects
    assert effects == {"model, loss": ({"mlp, hinge": 1.0, "dcgan, lsgan": 9.0}, 1)}
    write_fake_run(tmp_path / "c", "model=dcgan", "loss=hinge", fd=7.0)
    assert read_comparison(tmp_path).effects == {  # the models with hinge only, the losses with dcgan only
        "model": ({"mlp": 1.0, "dcgan": 7.0}, 1),
        "loss": ({"hinge": 7.0, "lsgan": 9.0}, 1),
    }


def test_overridden_keys_are_columns_and_keys_that_depend_on_a_choice_are_not(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", "recipe.lr=1", config={"model": {"width": 8}, "optim": {"lr": 1}})
    write_fake_run(tmp_path / "b", "model=dcgan", "recipe.lr=2", config={"model": {"width": 16}, "optim": {"lr": 2}})
    comparison = read_comparison(tmp_path)
    assert list(comparison.columns) == ["model", "recipe.lr"]
    assert set(comparison.dependent_columns) == {"model.name", "model.width", "optim.lr"}


def test_where_and_how_a_run_was_made_is_no_setting(tmp_path: Path) -> None:
    flags = ["trainer.devices=2", "hardware.compile=True", "hparams_search.x=1", "experiment=e", "local=mine"]
    write_fake_run(tmp_path / "a", "model=mlp", *flags, seed=1)
    write_fake_run(tmp_path / "b", "model=mlp", seed=2)
    comparison = read_comparison(tmp_path)
    assert list(comparison.columns) == []
    assert comparison.ranking[0].intervals["best/fd_digits"].n == 2
    write_fake_run(tmp_path / "c", "model=mlp", "trainer.precision=bf16-mixed", seed=3)
    assert list(read_comparison(tmp_path).columns) == ["trainer.precision"]  # numbers depend on it


def test_model_loss_and_optimiser_come_before_other_settings(tmp_path: Path) -> None:
    told = ("metrics.x=1", "ema.x=1", "model.w=1", "optim.G.lr=1", "augment=a", "loss=hinge", "model=mlp")
    write_fake_run(tmp_path / "a", *told)
    write_fake_run(tmp_path / "b")
    order = ["model", "loss", "augment", "model.w", "optim.G.lr", "ema.x", "metrics.x"]
    comparison = read_comparison(tmp_path)
    assert list(comparison.columns) == order
    assert comparison.main_columns == order[:6]


def test_a_key_without_override_is_a_column_if_nothing_else_distinguishes_two_runs(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", config={"optim": {"lr": 1.0}})
    write_fake_run(tmp_path / "b", "model=mlp", config={"optim": {"lr": 2.0}})
    comparison = read_comparison(tmp_path)
    assert list(comparison.columns) == ["optim.lr"]
    assert [group.values for group in comparison.groups] == [("1",), ("2",)]


def test_runs_with_another_protocol_are_not_ranked_and_the_difference_is_named(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_fake_run(tmp_path / f"a{seed}", "model=mlp", fd=30.0, seed=seed)
    write_fake_run(tmp_path / "b", "model=dcgan", fd=1.0, measured={"num_samples": 7})
    comparison = read_comparison(tmp_path)
    assert comparison.protocol_labels == ("A", "A", "B")
    assert [group.label for group in comparison.ranking] == ["model=mlp"]
    assert "not comparable with A: num_samples: 500 and 7" in "\n".join(list_remarks(comparison))


def test_no_batchnorm_and_another_selection_rule_are_the_same_protocol(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", measured={"batchnorm": "none in G"})
    write_fake_run(tmp_path / "b", "model=dcgan", measured={"batchnorm": "running", "checkpoint": "every 10 turns"})
    write_fake_run(tmp_path / "c", "model=sngan", measured={"batchnorm": "batch"})
    comparison = read_comparison(tmp_path)
    assert comparison.protocol_labels == ("A", "A", "B")
    remarks = list_remarks(comparison)
    assert "every 10 turns: 1 run" in remarks
    assert any(line.endswith("; not comparable with A: batchnorm: running and batch") for line in remarks)


def test_different_real_images_are_in_the_legend(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "data=digits")
    write_fake_run(tmp_path / "b", "data=mnist", measured={"real": "mnist"})
    remarks = list_remarks(read_comparison(tmp_path))
    assert any("real: digits and mnist" in line for line in remarks)


def test_the_verdict_on_one_seed_and_on_no_score(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp", fd=1.0)
    write_fake_run(tmp_path / "b", "model=dcgan", fd=2.0)
    assert format_verdict(read_comparison(tmp_path)).endswith("with one seed the difference may be chance.")
    unscored = write_fake_run(tmp_path / "c", done=None)
    assert format_verdict(read_comparison(unscored)) == "No run has a score to rank by yet."


def test_unfinished_runs_get_a_remark_and_no_rank(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "done", "model=mlp", fd=5.0)
    write_fake_run(tmp_path / "stopped", "model=dcgan", done=40)
    write_fake_run(tmp_path / "killed", "model=sngan", done=None)
    running = write_fake_run(tmp_path / "in_progress", "model=resnet", done=None)
    (running / JOB_FILE).write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
    status.write_job_failure(
        tmp_path / "refused", ["model=mlp_conv", "seed=4"], "model.G.width must be an integer, got x"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [")
    (tmp_path / "empty").mkdir()
    comparison = read_comparison(tmp_path)
    remarks = list_remarks(comparison)
    assert "stopped is interrupted: at turn 40 of 100" in remarks
    assert "killed is interrupted: before its end" in remarks
    assert "in_progress is running" in remarks
    assert "refused is failed: model.G.width must be an integer, got x" in remarks
    (line,) = [line for line in comparison.unreadable if line.startswith("broken is left out: ")]
    assert "\n" not in line
    assert [group.label for group in comparison.ranking] == ["model=mlp"]
    assert len(comparison.runs) == 5
    assert comparison.columns["model"] == ["mlp", "resnet", "sngan", "mlp_conv", "dcgan"]


def test_a_seed_that_ran_twice_counts_once(tmp_path: Path) -> None:
    for name, fd in (("a", 1.0), ("b", 3.0)):
        write_fake_run(tmp_path / name, "model=mlp", fd=fd)
    (only,) = read_comparison(tmp_path).groups
    assert (only.intervals["best/fd_digits"].mean, only.intervals["best/fd_digits"].n) == (3.0, 1)


def test_folders_are_runs_or_sweeps_and_each_run_is_read_once(tmp_path: Path) -> None:
    write_fake_sweep(tmp_path / "sweeps" / "s")
    write_fake_run(tmp_path / "single", "model=mlp")
    result = read_runs([str(tmp_path / "sweeps" / "s"), str(tmp_path), str(tmp_path / "single")])
    assert [run.name for run in result.runs] == [*(f"sweeps/s/{i}" for i in range(8)), "single"]


@pytest.mark.parametrize("folders", [["missing"], ["empty"], ["bad"]])
def test_no_run_is_one_line(folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.log").touch()
    with pytest.raises(ValueError, match=r"^runs must be folders of runs, got") as caught:
        read_runs(folders)
    assert "\n" not in str(caught.value)
