"""metrics.csv: every number of a run, one row a turn."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from gantry.files import atomic_write, report_disk_errors, write_text
from gantry.runs.layout import METRICS_FILE
from gantry.runs.metrics_csv import MetricsRow, order_columns, read_rows

COPY_BYTES = 1 << 20


class CsvLogger(Logger):
    """Writes `folder`/metrics.csv; all numbers of one turn share one row, whoever logs them.

    A row is on the disk when `log_metrics` returns. A row of a later turn is appended; if the last row is changed, an
    earlier one, or the columns, the file is written anew and then replaces the old one. No more than the last row is
    kept in memory, however long the run.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / METRICS_FILE
        self._columns: list[str] = []  # of the file; empty at first, so that the first row rewrites it
        self._last_row: MetricsRow = {}
        self._last_start, self._size = 0, 0  # bytes before the last row, and of the whole file

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        """Do nothing: config.yaml has the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add numbers to the row of a turn."""
        turn = int(metrics["turn"] if step is None else step)
        numbers: MetricsRow = {"turn": turn} | {name: _to_number(value) for name, value in metrics.items()}
        numbers["turn"] = turn
        last_turn = self._last_row.get("turn", -1)
        if turn < last_turn or not numbers.keys() <= set(self._columns) or not self._is_as_written():
            rows = self._read_rows()
            rows[turn] = rows.get(turn, {}) | numbers
            self._write_rows(rows)
        elif turn > last_turn:
            self._append_row(numbers)
        else:
            self._replace_last_row(self._last_row | numbers)

    @rank_zero_only
    def rewind_to(self, turn: int) -> None:
        """Drop the rows of later turns, which a resumed run repeats."""
        rows = self._read_rows()
        earlier = {t: row for t, row in rows.items() if t <= turn}
        if len(earlier) < len(rows):
            self._write_rows(earlier)

    def _read_rows(self) -> dict[int, MetricsRow]:
        return {int(row["turn"]): row for row in read_rows(self.path)}

    def _is_as_written(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size == self._size

    def _write_rows(self, rows: Mapping[int, MetricsRow]) -> None:
        ordered = [row for _, row in sorted(rows.items())]
        self._columns = order_columns(ordered)
        lines = [_format_row(self._columns), *(self._format(row) for row in ordered)]
        write_text(self.path, "".join(lines))
        self._last_row = ordered[-1] if ordered else {}
        self._size = sum(len(line.encode()) for line in lines)
        self._last_start = self._size - len(lines[-1].encode())

    def _append_row(self, row: MetricsRow) -> None:
        line = self._format(row)
        with report_disk_errors(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)
        self._last_row, self._last_start, self._size = row, self._size, self._size + len(line.encode())

    def _replace_last_row(self, row: MetricsRow) -> None:
        line = self._format(row).encode()
        with atomic_write(self.path) as part, self.path.open("rb") as old, part.open("wb") as new:
            while piece := old.read(min(COPY_BYTES, self._last_start - old.tell())):
                new.write(piece)
            new.write(line)
        self._last_row, self._size = row, self._last_start + len(line)

    def _format(self, row: MetricsRow) -> str:
        return _format_row(row.get(name) for name in self._columns)


def _to_number(value: Any) -> float:
    return value if isinstance(value, int) else float(value)


def _format_row(cells: Any) -> str:
    """Return one line of CSV; floats keep all digits that are needed to read back the same number."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if cell is None else _format_cell(cell) for cell in cells])
    return text.getvalue()


def _format_cell(cell: Any) -> str:
    is_whole_float = isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15
    return str(int(cell)) if is_whole_float else str(cell)
