"""A score with other settings is another score; the others stay comparable."""

from pathlib import Path
from typing import Any

from fake_runs import make_protocol, write_fake_run
from gantry.compare.comparison import Comparison, compare_runs, format_verdict, list_remarks
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_comparison
from gantry.compare.page.page_data import make_page_data
from gantry.compare.score_columns import get_metric, name_column
from gantry.runs.summary import write_summary


def write_scored_run(folder: Path, *overrides: str, fd: float, size: int = 1000, seed: int = 1, **other: Any) -> None:
    """Write a run of 100 turns with the scores frechet and kid, the second on subsets of `size`."""
    write_fake_run(folder, *overrides, fd=fd, seed=seed, config=other.pop("config", None))
    protocol = make_protocol(scores={"frechet": {}, "kid": {"subset_size": size}}, **other)
    entry = {"protocol": protocol, "scores": {"fd_digits": fd, "kd_digits": fd / 10, "kd_digits_std": 0.5}}
    write_summary(folder, {"report": {"best": entry, "last": entry}, "best": entry, "turns": 100})


def read_comparison(folder: Path) -> Comparison:
    return compare_runs(read_runs([str(folder)]).runs)


def test_settings_of_one_score_leave_the_others_comparable(tmp_path: Path) -> None:
    write_scored_run(tmp_path / "a", "model=mlp", fd=30.0)
    write_scored_run(tmp_path / "b", "model=dcgan", fd=20.0, size=100)
    write_scored_run(tmp_path / "c", "model=sngan", fd=10.0)
    comparison = read_comparison(tmp_path)
    assert comparison.protocol_labels == ("A", "A", "A")
    assert [group.label for group in comparison.ranking] == ["model=sngan", "model=dcgan", "model=mlp"]
    assert comparison.score_names == ["fd_digits", "kd_digits", "kd_digits (2)"]
    columns = [set(group.intervals) for group in comparison.groups]
    first, second = ({f"{which}/{name}" for which in ("best", "last")} for name in ("kd_digits", "kd_digits (2)"))
    assert [keys & (first | second) for keys in columns] == [first, second, first]
    (note,) = comparison.column_notes
    assert note.startswith("kd_digits (2), kd_digits (2)_std: other settings, scores.kid: {'subset_size': 1000} and ")
    assert note in list_remarks(comparison)
    text = format_comparison(comparison)
    assert f"- {note}\n" in text
    assert "| best/kd_digits | last/kd_digits | best/kd_digits (2) |" in text
    data = make_page_data(comparison, 0)
    assert data["directions"] == {"fd_digits": 1, "kd_digits": 1, "kd_digits (2)": 1}
    assert data["runs"][1]["numbers"]["best/kd_digits (2)"][0] == 2.0


def test_the_monitored_score_is_ranked_among_those_of_its_settings(tmp_path: Path) -> None:
    by_kid = {"config": {"metrics": {"monitor": "kd_digits"}}}
    write_scored_run(tmp_path / "a", "model=mlp", fd=1.0, size=100, **by_kid)
    write_scored_run(tmp_path / "b", "model=dcgan", fd=20.0, **by_kid)
    write_scored_run(tmp_path / "c", "model=sngan", fd=30.0, **by_kid)
    comparison = read_comparison(tmp_path)
    assert comparison.monitor == "kd_digits"
    assert [group.label for group in comparison.ranking] == ["model=dcgan", "model=sngan"]
    assert format_verdict(comparison).startswith("Best: model=dcgan with kd_digits 2 ")
    assert comparison.runs[0].get_score("best", "kd_digits (2)") == 0.1
    assert comparison.runs[0].selection_scores["kd_digits (2)"] == 0.1


def test_other_facts_make_all_scores_incomparable(tmp_path: Path) -> None:
    write_scored_run(tmp_path / "a", "model=mlp", fd=30.0)
    write_scored_run(tmp_path / "b", "model=dcgan", fd=20.0, num_samples=7)
    comparison = read_comparison(tmp_path)
    assert comparison.protocol_labels == ("A", "B")
    assert comparison.column_notes == ()
    assert [group.label for group in comparison.ranking] == ["model=mlp"]


def test_seeds_of_one_setting_have_means_over_those_that_were_measured_alike(tmp_path: Path) -> None:
    for seed, size in ((1, 1000), (2, 1000), (3, 100)):
        write_scored_run(tmp_path / str(seed), "model=mlp", fd=10.0 * seed, size=size, seed=seed)
    (group,) = read_comparison(tmp_path).groups
    means = {key: (interval.mean, interval.n) for key, interval in group.intervals.items() if key.startswith("best/")}
    assert means == {"best/fd_digits": (20.0, 3), "best/kd_digits": (1.5, 2), "best/kd_digits (2)": (3.0, 1)}


def test_columns_have_the_name_of_their_metric() -> None:
    names = [name_column("kid", 0), name_column("kid", 1), name_column("kid_std", 2)]
    assert names == ["kid", "kid (2)", "kid (3)_std"]
    assert [get_metric(name) for name in names] == ["kid", "kid", "kid_std"]
