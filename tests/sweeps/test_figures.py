"""The figures of a sweep: scales of its axes, styles of its curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fake_runs import write_fake_run
from gantry.compare.comparison import Comparison, compare_runs
from gantry.compare.find_runs import read_runs
from gantry.figures.curves import curve_style
from gantry.sweeps.figures import (
    MAX_NAMED_SETTINGS,
    list_axis_ticks,
    plot_axis_values,
    plot_parallel_coordinates,
    plot_sweep_curves,
    read_log_keys,
    wrap_key,
    write_sweep_figures,
)


def write_search(folder: Path, count: int) -> Comparison:
    """A search of a rate over three orders of magnitude; the first trial is the best."""
    for i in range(count):
        write_fake_run(folder / str(i), f"optim.D.lr={1e-5 * 1000 ** (i / (count - 1)):.3g}", fd=1.0 + i, pictures=())
    return compare_runs(read_runs([str(folder)]).runs)


def axes_of(figure: Figure) -> Axes:
    return figure.axes[0]


def test_a_rate_over_orders_of_magnitude_lies_on_a_log_axis(tmp_path: Path) -> None:
    comparison = write_search(tmp_path, 7)
    axes = axes_of(plot_parallel_coordinates(comparison, comparison.runs, {}))
    heights = sorted(float(np.asarray(line.get_ydata())[0]) for line in axes.lines)
    np.testing.assert_allclose(heights, np.linspace(0, 1, 7), atol=0.001)
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["optim.D.lr\n(log scale)", "best fd_digits"]


@pytest.mark.parametrize(
    ("values", "log", "middle"),
    [
        ([1.0, 3.0, 9.0], True, 0.5),  # searched on a log scale, though the range is small
        ([1.0, 3.0, 9.0], None, 0.25),
        ([1.0, 10.0, 100.0], False, 1 / 11),  # searched on a linear scale, though the range is large
        ([1.0, 10.0, 100.0], None, 0.5),
        ([0.0, 10.0, 100.0], True, 0.1),  # zero has no logarithm
    ],
)
def test_the_scale_of_the_search_holds_for_its_keys(values: list[float], log: bool | None, middle: float) -> None:
    heights, _ = plot_axis_values(Figure().add_subplot(), 0, values, log)
    np.testing.assert_allclose(heights, [0, middle, 1])


def test_the_scales_of_a_search_are_in_its_study(tmp_path: Path) -> None:
    space = {
        "optim.D.lr": "tag(log,interval(1e-5,1e-2))",
        "optim.G.lr": "tag(mine, log, interval(1e-5, 1e-2))",
        "ema.half_life": "interval(1,100)",
        "loss": "hinge,log,interval",
        "model.G.width": "range(16,64,16)",
    }
    assert read_log_keys(tmp_path) == {}
    (tmp_path / "study.json").write_text(json.dumps({"space": space}))
    logs = {"optim.D.lr": True, "optim.G.lr": True, "ema.half_life": False, "model.G.width": False}
    assert read_log_keys(tmp_path) == logs
    for broken in ("{", "[]", '{"space": 3}'):
        (tmp_path / "study.json").write_text(broken)
        assert read_log_keys(tmp_path) == {}


def test_many_numbers_have_a_few_round_labels() -> None:
    ticks = list_axis_ticks(np.geomspace(1e-5, 1e-2, 30), log=True)
    np.testing.assert_allclose(ticks, [1e-5, 1e-4, 1e-3, 1e-2])
    assert list_axis_ticks(np.array([3.0, 1.0, 3.0]), log=False) == [1.0, 3.0]
    axes = Figure().add_subplot()
    plot_axis_values(axes, 0, np.linspace(0, 1, 40).tolist())
    heights = [text.get_position()[1] for text in axes.texts]
    assert min(np.diff(sorted(heights))) >= 0.035


def test_forty_curves_look_different() -> None:
    assert len({curve_style(i) for i in range(40)}) == 40


def test_each_setting_has_its_style_and_the_best_come_first(tmp_path: Path) -> None:
    axes = axes_of(plot_sweep_curves(write_search(tmp_path, 9)))
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 9
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "optim.D.lr=1e-05"
    assert len(labels) == 9


def test_of_many_settings_the_best_have_colours(tmp_path: Path) -> None:
    count = MAX_NAMED_SETTINGS + 5
    axes = axes_of(plot_sweep_curves(write_search(tmp_path, count)))
    assert len(axes.lines) == count
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert (len(labels), labels[-1]) == (MAX_NAMED_SETTINGS + 1, "5 others")


def test_long_keys_break_after_dots() -> None:
    assert wrap_key("optim.D.lr") == "optim.D.lr"
    lines = wrap_key("loss.d_terms.gradient_penalty.weight").split("\n")
    assert "".join(lines) == "loss.d_terms.gradient_penalty.weight"
    assert max(map(len, lines)) <= 18


def test_the_figures_are_written(tmp_path: Path) -> None:
    write_sweep_figures(write_search(tmp_path, 3), tmp_path)
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("curves.png", "parallel.png"))
