"""metrics.csv: one row a turn, whole after a crash, not doubled by a resume."""

import math
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from gantry.loggers.csv_logger import CsvLogger
from gantry.runs.metrics_csv import read_columns


def lines(folder: Path) -> list[str]:
    return (folder / "metrics.csv").read_text().splitlines()


def test_all_numbers_of_a_turn_share_one_row(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"loss/D": 0.5, "turn": 10, "kimg": 0.64}, step=10)
    logger.log_metrics({"score/fid": 33.25, "turn": 10, "kimg": 0.64}, step=10)
    logger.log_metrics({"loss/D": 0.25, "turn": 20, "kimg": 1.28}, step=20)
    assert lines(tmp_path) == ["turn,kimg,loss/D,score/fid", "10,0.64,0.5,33.25", "20,1.28,0.25,"]


def test_columns_may_appear_later(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"a": 1.5}, step=1)
    logger.log_metrics({"b": 2.5}, step=2)
    logger.log_metrics({"a": 3.5}, step=3)
    assert lines(tmp_path) == ["turn,a,b", "1,1.5,", "2,,2.5", "3,3.5,"]
    metrics = read_columns(tmp_path)
    np.testing.assert_array_equal(metrics["turn"], [1, 2, 3])
    np.testing.assert_array_equal(metrics["a"], [1.5, math.nan, 3.5])


def test_every_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for turn in range(5):
        logger.log_metrics({"a": turn * 0.1}, step=turn)
        assert len(read_columns(tmp_path)["a"]) == turn + 1


@pytest.mark.parametrize("value", [1 / 3, 1e-300, 1.7976931348623157e308, -0.1, 123456789.123456789, math.inf, 2.0])
def test_numbers_are_read_back_exactly(tmp_path: Path, value: float) -> None:
    CsvLogger(str(tmp_path)).log_metrics({"a": value, "b": torch.tensor(value, dtype=torch.float64)}, step=0)
    metrics = read_columns(tmp_path)
    assert metrics["a"].item() == metrics["b"].item() == value


def test_nan_is_a_value(tmp_path: Path) -> None:
    CsvLogger(str(tmp_path)).log_metrics({"a": math.nan}, step=0)
    assert lines(tmp_path) == ["turn,a", "0,nan"]
    assert math.isnan(read_columns(tmp_path)["a"].item())


def test_a_resumed_run_has_no_row_twice(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for turn in (0, 10, 20, 30):
        logger.log_metrics({"a": turn + 0.5}, step=turn)
    again = CsvLogger(str(tmp_path))
    again.rewind_to(15)
    assert lines(tmp_path) == ["turn,a", "0,0.5", "10,10.5"]
    again.log_metrics({"a": 16.0}, step=16)
    again.log_metrics({"b": 1.0}, step=10)
    assert lines(tmp_path) == ["turn,a,b", "0,0.5,", "10,10.5,1", "16,16,"]


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for turn in range(3):
        logger.log_metrics({"a": 1.25, "b": 2.5}, step=turn)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-2])  # "2,1.25,2" looks whole but for its end
    np.testing.assert_array_equal(read_columns(tmp_path)["turn"], [0, 1])
    CsvLogger(str(tmp_path)).log_metrics({"a": 1.0, "b": 1.0, "c": 1.0}, step=2)
    assert lines(tmp_path) == ["turn,a,b,c", "0,1.25,2.5,", "1,1.25,2.5,", "2,1,1,1"]


def test_a_run_resumes_after_an_incomplete_line(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"a": 1.25}, step=0)
    logger.log_metrics({"a": 1.25}, step=1)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-3])
    CsvLogger(str(tmp_path)).log_metrics({"a": 3.5}, step=1)
    assert lines(tmp_path) == ["turn,a", "0,1.25", "1,3.5"]


def test_a_missing_file_has_no_columns(tmp_path: Path) -> None:
    assert read_columns(tmp_path) == {}
    (tmp_path / "metrics.csv").touch()
    assert read_columns(tmp_path) == {}


def test_any_order_of_turns_and_names_gives_the_same_table(tmp_path: Path) -> None:
    draw = random.Random(0)
    logger, table = CsvLogger(str(tmp_path)), dict[int, dict[str, float]]()
    for i in range(200):
        turn = max(0, i // 3 - draw.choice([0, 0, 0, 0, 5]))
        numbers = {name: draw.random() for name in draw.sample("abcd"[: 1 + i // 50], k=1)}
        logger.log_metrics(numbers, step=turn)
        table.setdefault(turn, {}).update(numbers)
        if i == 120:
            logger = CsvLogger(str(tmp_path))  # a process that resumes
    columns = read_columns(tmp_path)
    assert columns["turn"].tolist() == sorted(table)
    for name in "abcd":
        np.testing.assert_array_equal(columns[name], [table[turn].get(name, math.nan) for turn in sorted(table)])


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))

    def log_rows(start: int, stop: int) -> int:
        for turn in range(start, stop):
            logger.log_metrics({f"loss/{i}": turn + 0.1 * i for i in range(20)} | {"score": 0.5}, step=turn)
            logger.log_metrics({"score": 0.25}, step=turn)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = log_rows(0, 20)
        assert log_rows(20, 320) - before < 20_000  # 300 rows of 20 numbers would be 144,000 bytes
    finally:
        tracemalloc.stop()


def test_a_file_that_somebody_else_has_changed_stays_a_table(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for turn in range(3):
        logger.log_metrics({"a": turn + 0.5}, step=turn)
    path = tmp_path / "metrics.csv"
    path.write_text("turn,b\n0,7.5\n")
    logger.log_metrics({"a": 3.5}, step=3)
    assert lines(tmp_path) == ["turn,b,a", "0,7.5,", "3,,3.5"]
    path.unlink()
    logger.log_metrics({"a": 4.5}, step=4)
    logger.log_metrics({"a": 5.5}, step=5)
    assert lines(tmp_path) == ["turn,a", "4,4.5", "5,5.5"]
