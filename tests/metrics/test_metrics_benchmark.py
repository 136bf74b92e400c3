"""The benchmark of the metrics: benchmarks/metrics.py and its cases."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:.*will save all extracted features in buffer.*")
FOLDER = Path(__file__).parents[2] / "benchmarks"
SIZES = [
    "--samples",
    "60",
    "120",
    "--features",
    "16",
    "--classes",
    "10",
    "--subsets",
    "2",
    "--subset-size",
    "30",
    "--repeats",
    "1",
]


def numbers(result: object) -> list[float]:
    """The numbers that implementations give in a tuple, a dictionary, a tensor or alone."""
    if isinstance(result, dict):
        return numbers(tuple(result.values()))
    if isinstance(result, tuple | list):
        return [number for part in result for number in numbers(part)]
    return torch.as_tensor(result).flatten().tolist()


@pytest.fixture(scope="module")
def cases():  # type: ignore[no-untyped-def]
    """The module of the cases."""
    sys.path.insert(0, str(FOLDER))
    try:
        import metric_cases
    finally:
        sys.path.remove(str(FOLDER))
    return metric_cases


@pytest.mark.parametrize("metric", ["FID, distance", "FID", "KID", "precision, recall"])
def test_implementations_compute_the_same(metric: str, cases) -> None:  # type: ignore[no-untyped-def]
    size = cases.CaseSize(samples=200, features=16, classes=10, subsets=2, subset_size=200)  # all subsets are the sets
    results = {who: numbers(case(size)()) for who, case in cases.METRIC_CASES[metric].items()}
    assert len(results) >= 2
    for result in results.values():
        assert result[0] == pytest.approx(results[cases.GANTRY][0], rel=1e-3, abs=2e-6)


def test_statistics_and_inception_scores_are_the_same(cases) -> None:  # type: ignore[no-untyped-def]
    size = cases.CaseSize(samples=2000, features=16, classes=10, subsets=3, subset_size=150)
    ours, theirs, _ = (case(size)() for case in cases.METRIC_CASES["FID, statistics of a set"].values())
    np.testing.assert_allclose(ours.covariance, theirs["sigma"], rtol=1e-5, atol=1e-7)
    ours, *others = (case(size)() for case in cases.METRIC_CASES["IS"].values())
    for other in others:  # over other splits
        assert numbers(other)[0] == pytest.approx(float(ours.mean()), rel=0.01)


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_measurement() -> None:
    command = [sys.executable, str(FOLDER / "metrics.py"), "--metrics", "IS", "precision, recall", *SIZES]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 2 * (3 + 2)
    assert {row[1] for row in rows} == {"60", "120"}
    assert all(float(row[4]) == 1 for row in rows if row[2] == "Gantry")
    assert all(bool(row[6]) == (row[1] == "120") for row in rows)
