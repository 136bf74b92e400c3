"""The picture of metrics.csv."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from gantry.callbacks.curves import CurvePlotter
from gantry.figures.curves import BEST_COLOUR, Curve, arrange_panels, draw_panel, mark_best, max_min_ratio
from gantry.loggers.csv_logger import CsvLogger
from gantry.runs.metrics_csv import read_columns
from gantry.runs.summary import write_summary
from gantry.training.run_state import RunState
from stubs import TinyGan, call_hooks, make_trainer_stub

NAN = float("nan")


def log_run(folder: Path, turns: int = 40) -> None:
    logger = CsvLogger(str(folder))
    for turn in range(turns):
        row = {"turn": turn, "kimg": turn * 0.064, "loss/D": 1.0 / (1 + turn), "loss/G": turn * 0.1}
        logger.log_metrics(row, step=turn)
        if turn % 10 == 0:
            logger.log_metrics({"score/fd_digits": 500.0 / (1 + turn)}, step=turn)


def test_related_columns_share_a_panel() -> None:
    column = np.ones(3)
    names = [
        "turn",
        "kimg",
        "speed/x",
        "speed/seconds",
        "memory/process_gib",
        "score/is",
        "score/is_std",
        "loss/D/r1",
        "loss/G",
        "loss/D",
        "logits/real",
    ]
    panels = arrange_panels(dict.fromkeys(names, column))
    labels = {title: [curve.label for curve in curves] for title, curves in panels.items()}
    assert labels == {
        "loss": ["D", "G"],
        "terms of the losses, unweighted": ["D/r1"],
        "is": ["is"],
        "mean logits": ["real"],
        "speed": ["x"],
    }
    assert panels["is"][0].std is column


def test_spread_decides_about_the_log_scale() -> None:
    assert max_min_ratio([Curve("", np.array([1.0, NAN, 50.0])), Curve("", np.array([0.5]))]) == 100.0
    assert max_min_ratio([Curve("", np.array([-1.0, 50.0]))]) == 0.0
    assert max_min_ratio([Curve("", np.array([NAN]))]) == 0.0


def test_drawn_after_evaluations_and_at_the_end(tmp_path: Path) -> None:
    log_run(tmp_path)
    picture = tmp_path / "plots" / "curves.png"
    seen = []

    def evaluate(gan: TinyGan) -> None:
        seen.append(picture.exists())
        gan.run_state.scored_at = gan.turn if gan.turn in (3, 4) else gan.run_state.scored_at

    curves = CurvePlotter(str(tmp_path))
    call_hooks(curves, make_trainer_stub(), TinyGan(), 6, between=evaluate)
    assert seen == [False, False, False, True, True, True]
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape[1] == 1080
    assert (pixels[0] == 255).all()  # nothing is cut off at the edges
    assert (pixels[-1] == 255).all()
    assert (pixels[:, 0] == 255).all()
    assert (pixels < 128).mean() > 0.005  # ink


def test_too_soon_after_the_last_picture_none_is_drawn(tmp_path: Path) -> None:
    log_run(tmp_path, turns=2)
    curves = CurvePlotter(str(tmp_path))
    curves.draw()
    (tmp_path / "plots" / "curves.png").unlink()
    gan = TinyGan(turn=1, run_state=RunState(scored_at=1))
    curves.on_turn_end(make_trainer_stub(), gan, {})
    assert not (tmp_path / "plots" / "curves.png").exists()
    curves.on_training_end(make_trainer_stub(), gan)
    assert (tmp_path / "plots" / "curves.png").exists()


def test_the_best_checkpoint_is_marked_in_the_panel_of_each_score(tmp_path: Path) -> None:
    log_run(tmp_path)
    write_summary(tmp_path, {"best": {"turn": 20, "scores": {}, "protocol": {}}})
    metrics = read_columns(tmp_path)
    axes = Figure().add_subplot()
    draw_panel(axes, "fd_digits", metrics["turn"], [Curve("fd_digits", metrics["score/fd_digits"])])
    mark_best(axes, metrics["turn"], Curve("fd_digits", metrics["score/fd_digits"]), 20)
    (star,) = [line for line in axes.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (20, pytest.approx(500 / 21))
    assert axes.get_title() == "fd_digits (last: 16.13)\n★ best checkpoint: 23.81 at turn 20"
    CurvePlotter(str(tmp_path)).draw()
    marked = np.asarray(Image.open(tmp_path / "plots" / "curves.png").convert("RGB")).astype(int)
    green = np.abs(marked - np.array(ImageColor.getrgb(BEST_COLOUR))).max(axis=2) < 8
    assert green.sum() > 40


def test_a_turn_without_a_score_marks_nothing() -> None:
    axes = Figure().add_subplot()
    mark_best(axes, np.array([0.0, 1.0]), Curve("x", np.array([NAN, 1.0])), 0)
    mark_best(axes, np.array([0.0, 1.0]), Curve("x", np.array([NAN, 1.0])), 7)
    assert not axes.lines


def test_no_numbers_no_picture(tmp_path: Path) -> None:
    CurvePlotter(str(tmp_path)).draw()
    assert not list(tmp_path.iterdir())


def test_one_row_is_enough(tmp_path: Path) -> None:
    log_run(tmp_path, turns=1)
    CurvePlotter(str(tmp_path)).draw()
    assert (tmp_path / "plots" / "curves.png").exists()
