"""States of sums keep their dtype and follow the module that holds them to its device."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gantry.metrics.float64_metric import select_float64_device
from gantry.metrics.prediction_sums import PredictionSums
from gantry.metrics.statistics import Statistics
from gaussians import accumulate_features, seeded_randn

CASTS: list[Callable[[nn.Module], Any]] = [
    lambda module: module.half(),
    lambda module: module.bfloat16(),
    lambda module: module.float(),
    lambda module: module.type(torch.float16),
    lambda module: module.to(torch.bfloat16),
    lambda module: module.to("cpu", torch.float16),
]


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("inside_another_module", [False, True])
def test_no_cast_changes_a_state(cast: Callable[[nn.Module], Any], inside_another_module: bool) -> None:
    statistics = accumulate_features(seeded_randn(9, 3, seed=0))
    expected = statistics.moments.clone()
    cast(nn.Sequential(nn.Linear(2, 2), statistics) if inside_another_module else statistics)
    assert torch.equal(statistics.moments, expected)
    assert statistics.moments.dtype == torch.float64
    statistics.reset()
    assert statistics.moments.dtype == torch.float64


def test_set_dtype_changes_no_state() -> None:
    sums = PredictionSums(3)
    sums.set_dtype(torch.float16)
    assert [state.dtype for state in sums.metric_state.values()] == 3 * [torch.float64] + [torch.int64]


def test_states_move_with_the_module() -> None:
    statistics = Statistics(3).to("meta")
    assert statistics.moments.device.type == "meta"
    assert statistics.moments.dtype == torch.float64
    assert statistics.device.type == "meta"


def test_states_stay_on_the_cpu_where_the_device_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    assert select_float64_device("mps") == torch.device("cpu")
    assert select_float64_device("cuda:1") == torch.device("cuda:1")
    monkeypatch.setattr(
        "gantry.metrics.float64_metric.select_float64_device",
        lambda device: torch.device("cpu") if torch.device(device).type == "meta" else device,
    )
    sums = PredictionSums(3).to("meta")
    assert {state.device.type for state in sums.metric_state.values()} == {"cpu"}
    assert sums.device.type == "cpu"
    sums.update(torch.tensor([[0.5, 0.3, 0.2]]))
    assert sums.argmax_counts.tolist() == [1, 0, 0]
