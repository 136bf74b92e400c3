"""metrics.csv read back, without Lightning."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantry.runs.layout import METRICS_FILE

MetricsRow = dict[str, float]
Column = NDArray[np.float64]
FIRST_COLUMNS = ("turn", "kimg")


def read_metrics(run: Path | str) -> dict[str, Column]:
    """Return columns of a run's metrics.csv by name, in ascending turns: float64 [rows], NaN where there is none."""
    rows = sorted(read_rows(Path(run) / METRICS_FILE), key=lambda row: row["turn"])
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in order_columns(rows)}


def read_rows(path: Path) -> list[MetricsRow]:
    """Return the complete rows of a file; a last line that a crash cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    header, *rows = csv.reader(line for line in lines if line.endswith("\n")) if lines else [[]]
    complete_rows = [dict(zip(header, row)) for row in rows if len(row) == len(header)]
    return [{name: float(cell) for name, cell in row.items() if cell} for row in complete_rows]


def order_columns(rows: Iterable[MetricsRow]) -> list[str]:
    """Return names in the order in which they appeared, turn and kimg before all others."""
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=lambda name: FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS))
