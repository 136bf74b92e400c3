"""Read metrics.csv; apart from its logger, so that comparisons import no Lightning."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantry.errors import UserError, format_on_one_line
from gantry.runs.layout import METRICS_FILE

MetricsRow = dict[str, float]
Column = NDArray[np.float64]
FIRST_COLUMNS = ("turn", "kimg")
MAX_BYTES = 1 << 30
MAX_TURN = 2**53  # above it a float is not every integer


def read_columns(run: Path | str) -> dict[str, Column]:
    """Return columns of a run's metrics.csv by name, in ascending turns: float64 [rows], NaN where there is none."""
    rows = sorted(read_rows(Path(run) / METRICS_FILE), key=lambda row: row["turn"])
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in order_columns(rows)}


def read_rows(path: Path) -> list[MetricsRow]:
    """Return the complete rows of a file; a last line that a crash cut short is left out.

    Raises UserError for a file that is not a table of numbers with a turn in every row.
    """
    if not path.is_file():
        return []
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        header, *rows = csv.reader(line for line in lines if line.endswith("\n")) if lines else [[]]
        return [_parse_row(header, row) for row in rows if len(row) == len(header)]
    except (ValueError, OSError, csv.Error) as error:
        reason = format_on_one_line(error, limit=200)
        raise UserError(f"{METRICS_FILE} must be a table of numbers by turn, got {path}: {reason}") from None


def _parse_row(header: Sequence[str], cells: Sequence[str]) -> MetricsRow:
    row = {name: float(cell) for name, cell in zip(header, cells) if cell}
    if not (0 <= row.get("turn", -1) <= MAX_TURN and row["turn"].is_integer()):
        raise ValueError(f"the turn {row.get('turn', 'none')}")
    return row


def order_columns(rows: Iterable[MetricsRow]) -> list[str]:
    """Return names in the order in which they appeared, turn and kimg before all others."""
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=lambda name: FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS))
