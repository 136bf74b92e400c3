"""The table and the pictures that a sweep leaves."""

import csv
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from fake_runs import read_image, write_fake_run, write_fake_sweep
from gantry.compare import find_runs
from gantry.compare.run_record import read_run
from gantry.errors import UserError
from gantry.runs.status import FailedJob, read_failed_job, write_job_pruning
from gantry.runs.summary import write_summary
from gantry.sweeps.figures import plot_axis_values
from gantry.sweeps.hydra_callbacks import SweepTablesCallback, finish_sweep
from gantry.sweeps.table import (
    find_best_job,
    format_runs_override,
    format_state_counts,
    format_sweep_csv,
    format_sweep_markdown,
    write_sweep_table,
)


def rows(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "table.csv").open() as file:
        return list(csv.DictReader(file))


def ends(sweep: Path, number: int, error: Exception | None, mode: RunMode = RunMode.MULTIRUN) -> None:
    """Call back as Hydra does after a job."""
    folder = sweep / str(number)
    hydra = {"mode": mode, "sweep": {"dir": str(sweep)}, "runtime": {"output_dir": str(folder)}}
    done = JobReturn(overrides=["model=mlp", "loss=wgan", "seed=3"], status=JobStatus.COMPLETED)
    if error is not None:
        done.status, done.return_value = JobStatus.FAILED, error
    SweepTablesCallback().on_job_end(OmegaConf.create({"hydra": hydra}), done)


def test_a_row_for_each_job_with_its_numbers_and_how_they_were_measured(tmp_path: Path) -> None:
    write_sweep_table(write_fake_sweep(tmp_path))
    result = rows(tmp_path)
    assert list(result[0])[:6] == ["job", "model", "loss", "seed", "status", "reason"]
    assert [row["job"] for row in result] == [str(i) for i in range(8)]
    assert (result[4]["model"], result[4]["loss"], result[4]["seed"]) == ("dcgan", "hinge", "1")
    assert (float(result[4]["best/fd_digits"]), float(result[4]["last/fd_digits"])) == (20.1, 21.1)
    assert (result[4]["turn"], result[4]["seconds"]) == ("100", "20.0")
    assert result[4]["protocol"] == "report: digits, 500 samples of seed 1 against digits train (1437)"
    text = (tmp_path / "table.md").read_text()
    assert "| 4 | dcgan | hinge | 1 | finished | 20 | 20.1 | 21.1 | A |" in text
    assert "- A: report: digits, 500 samples" in text


def test_a_finished_job_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fake_run(tmp_path / "0", "model=mlp", fd=20.0)
    write_fake_run(tmp_path / "1", "model=dcgan", done=40)
    read: list[str] = []
    monkeypatch.setattr(find_runs, "read_run", lambda path, name: read.append(name) or read_run(path, name))
    write_sweep_table(tmp_path)
    write_fake_run(tmp_path / "2", "model=sngan", fd=30.0)
    write_sweep_table(tmp_path)
    assert read == ["0", "1", "1", "2"]
    write_summary(tmp_path / "0", {"seconds": 77.0})
    write_sweep_table(tmp_path)
    assert read[4:] == ["0", "1"]
    assert rows(tmp_path)[0]["seconds"] == "77.0"


def test_what_selected_is_beside_what_was_reported(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "0", "model=mlp", fd=20.0)
    write_summary(tmp_path / "0", {"best": {"scores": {"fd_digits": 19.5}}})
    write_fake_run(tmp_path / "1", "model=dcgan", done=40)
    write_job_pruning(tmp_path / "1", "at turn 40 of 100")
    comparison = write_sweep_table(tmp_path)
    first, second = rows(tmp_path)
    assert (first["best/fd_digits"], first["selected/fd_digits"]) == ("20.0", "19.5")
    assert (second["status"], second["reason"], second["selected/fd_digits"]) == ("pruned", "at turn 40 of 100", "")
    assert format_state_counts(comparison) == "2 jobs: 1 finished, 1 pruned"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UserError("seed must be an integer, got x"), "seed must be an integer, got x"),
        (RuntimeError("out of\nmemory"), "RuntimeError: out of memory"),
    ],
)
def test_a_failed_job_is_in_the_table_with_its_reason(error: Exception, reason: str, tmp_path: Path) -> None:
    write_fake_sweep(tmp_path)
    (tmp_path / "8").mkdir()
    ends(tmp_path, 8, error)
    last = rows(tmp_path)[-1]
    assert (last["job"], last["model"], last["loss"]) == ("8", "mlp", "wgan")
    assert (last["status"], last["reason"], last["best/fd_digits"]) == ("failed", reason, "")
    assert (tmp_path / "seeds.md").exists()


def test_a_run_of_its_own_that_fails_says_so_and_leaves_no_table(tmp_path: Path) -> None:
    ends(tmp_path, 0, RuntimeError("no"), RunMode.RUN)
    assert read_failed_job(tmp_path / "0") == FailedJob("RuntimeError: no", ("model=mlp", "loss=wgan", "seed=3"))
    assert not (tmp_path / "table.csv").exists()


def test_an_interrupted_job_is_in_the_table(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "0", "model=mlp")
    write_fake_run(tmp_path / "1", "model=dcgan", done=40)
    comparison = write_sweep_table(tmp_path)
    assert "| 1 | dcgan | interrupted: at turn 40 of 100 |" in format_sweep_markdown(comparison)
    assert "1,dcgan,interrupted,at turn 40 of 100,100," in format_sweep_csv(comparison)


def test_the_end_says_how_many_and_leaves_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fake_sweep(tmp_path)
    write_fake_run(tmp_path / "8", "model=sngan", done=40)
    finish_sweep(tmp_path)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"9 jobs: 8 finished, 1 interrupted ({tmp_path / 'table.md'})"
    for name in ("curves.png", "parallel.png"):
        pixels = read_image(tmp_path / name)
        assert pixels.shape[0] > 300
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20


def test_nothing_is_said_of_a_sweep_that_never_began(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish_sweep(tmp_path)
    assert capsys.readouterr().out == ""


def test_numbers_are_to_scale_and_names_evenly_spread(stub_axes: Callable[[], object]) -> None:
    axes = stub_axes()
    np.testing.assert_allclose(plot_axis_values(axes, 0, [1, 10, 4])[0], [0, 1, 1 / 3])
    np.testing.assert_allclose(plot_axis_values(axes, 0, ["b", "c", "a", "b"])[0], [0.5, 1, 0, 0.5])
    np.testing.assert_allclose(plot_axis_values(axes, 0, [3.0, 3.0])[0], [0.5, 0.5])


@pytest.fixture
def stub_axes() -> Callable[[], object]:
    from matplotlib.figure import Figure

    return lambda: Figure().add_subplot()


def test_the_end_of_a_sweep_names_the_best_job_the_figures_and_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish_sweep(write_fake_sweep(tmp_path))
    assert capsys.readouterr().out.splitlines() == [
        f"8 jobs: 8 finished ({tmp_path}/table.md)",
        f"best job: fd_digits 20.1, model=dcgan loss=hinge seed=1 ({tmp_path}/4)",
        f"figures: {tmp_path}/curves.png, {tmp_path}/parallel.png",
        f"compare the jobs: python src/compare.py runs=[{tmp_path}]",
    ]


def test_the_best_job_is_a_finished_one_measured_like_most(tmp_path: Path) -> None:
    for i, (fd, others) in enumerate([(30.0, {}), (20.0, {}), (5.0, {"num_samples": 10}), (1.0, {})]):
        write_fake_run(tmp_path / str(i), f"recipe.lr={i}", fd=fd, measured=others)
    write_summary(tmp_path / "3", {"turns": 40})  # the last one was interrupted
    best = find_best_job(write_sweep_table(tmp_path))
    assert best is not None
    assert best.folder == tmp_path / "1"
    for i in range(4):
        (tmp_path / str(i) / "summary.json").unlink()
    assert find_best_job(write_sweep_table(tmp_path)) is None


@pytest.mark.parametrize(
    ("folder", "word"),
    [
        ("logs/train/sweeps/S-1", "runs=[logs/train/sweeps/S-1]"),
        ("my logs (2)", """'runs=["my logs (2)"]'"""),
        ("lr=1,2", """'runs=["lr=1,2"]'"""),
        ("ärger", """'runs=["ärger"]'"""),
        ('a "b"', r"""'runs=["a \"b\""]'"""),
        ("a\\", r"""'runs=["a\\"]'"""),
    ],
)
def test_the_command_that_compares_can_be_pasted(folder: str, word: str) -> None:
    assert format_runs_override(Path(folder)) == word
    (argument,) = shlex.split(word)
    override = OverridesParser.create().parse_override(argument)
    assert override.value() == [folder]
