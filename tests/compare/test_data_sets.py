"""Runs of several data sets: each data set is ranked by itself."""

from pathlib import Path

from fake_runs import write_fake_run
from gantry.compare.data_sets import DataSetComparison, compare_by_data_set, format_verdicts
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_data_sets
from gantry.runs.status import write_job_failure


def read(folder: Path) -> DataSetComparison:
    found = read_runs([str(folder)])
    return compare_by_data_set(found.runs, found.unreadable)


def write_two_data_sets(folder: Path) -> None:
    for data, models in (("digits", {"mlp": 9.0, "dcgan": 5.0}), ("mnist", {"mlp": 3.0, "dcgan": 4.0, "sngan": 6.0})):
        for model, fd in models.items():
            write_fake_run(folder / data / model, f"data={data}", f"model={model}", fd=fd, measured={"real": data})


def test_each_data_set_is_ranked_and_the_one_with_most_runs_comes_first(tmp_path: Path) -> None:
    write_two_data_sets(tmp_path)
    sections = read(tmp_path).by_data_set
    rankings = {name: [group.label for group in section.ranking] for name, section in sections.items()}
    assert list(rankings) == ["mnist", "digits"]
    assert rankings["digits"] == ["model=dcgan", "model=mlp"]
    assert rankings["mnist"] == ["model=mlp", "model=dcgan", "model=sngan"]


def test_the_verdict_is_one_line_for_each_data_set(tmp_path: Path) -> None:
    write_two_data_sets(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [")
    unreadable, mnist, digits = format_verdicts(read(tmp_path))
    assert unreadable.startswith("- broken is left out: ")
    assert mnist.startswith("mnist: Best: model=mlp with fd_digits 3 ")
    assert digits.startswith("digits: Best: model=dcgan with fd_digits 5 ")
    text = format_data_sets(read(tmp_path))
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## mnist", "## digits"]
    assert "- broken is left out: " in text


def test_a_job_that_never_started_joins_the_jobs_beside_it(tmp_path: Path) -> None:
    write_two_data_sets(tmp_path)
    write_job_failure(tmp_path / "digits" / "refused", ["model=resnet"], "no")
    write_job_failure(tmp_path / "elsewhere" / "refused", ["model=resnet", "data=mnist"], "no")
    sections = read(tmp_path).by_data_set
    assert {name: len(section.runs) for name, section in sections.items()} == {"mnist": 4, "digits": 3}


def test_folders_of_images_are_data_sets_of_their_own(tmp_path: Path) -> None:
    for root in ("/a/cats", "/a/dogs"):
        config = {"data": {"source": {"root": root}}}
        write_fake_run(tmp_path / root[3:], "data=folder", config=config)
    assert list(read(tmp_path).by_data_set) == ["folder /a/cats", "folder /a/dogs"]


def test_many_mixed_runs_have_a_short_verdict_and_few_remarks(tmp_path: Path) -> None:
    for i in range(40):
        told = [f"model=m{i % 5}", f"loss=l{i % 7}", f"augment=a{i % 3}", f"recipe.lr={i}", f"ema.half_life={i % 11}"]
        told += [f"optim.D.beta{k}=0.{i % (k + 2)}" for k in range(10)]
        write_fake_run(tmp_path / f"run{i}", *told, fd=float(i + 1), done=100 if i < 20 else 40, pictures=())
    comparison = read(tmp_path)
    verdict, *remarks = format_verdicts(comparison)
    assert verdict.startswith("Best: model=m0 loss=l0 ")
    assert len(verdict) < 350
    assert remarks == ["- 20 runs are interrupted: run20, run21, run22 and 17 more"]
    (section,) = comparison.by_data_set.values()
    assert section.main_columns[:3] == ["model", "loss", "augment"]
    assert len(section.main_columns) == 6


def test_of_many_settings_a_label_has_those_that_are_not_the_most_common(tmp_path: Path) -> None:
    keys = [f"optim.x{k}" for k in range(12)]
    for i, changed in enumerate([*keys, ""]):
        told = [f"{key}={int(key == changed)}" for key in keys]
        write_fake_run(tmp_path / f"{i:02}", "model=mlp", *told, fd=float(i), pictures=())
    write_fake_run(tmp_path / "all", "model=mlp", *(f"{key}=1" for key in keys), fd=99.0, pictures=())
    (section,) = read(tmp_path).by_data_set.values()
    labels = [group.label for group in section.ranking]
    assert labels[:12] == [f"{key}=1" for key in keys]
    assert labels[12] == "all runs"  # every value is the most common one
    assert labels[13].endswith(" and 8 more")
