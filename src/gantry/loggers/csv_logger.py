"""metrics.csv: every number of a run, one row a turn."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from gantry.files import report_disk_errors, write_text
from gantry.runs.layout import METRICS_FILE
from gantry.runs.metrics_csv import MetricsRow, order_columns, read_rows


class CsvLogger(Logger):
    """Writes `folder`/metrics.csv; all numbers of one turn share one row, whoever logs them.

    A row is on the disk when `log_metrics` returns. A row of a later turn is appended; if it has a new column, or
    changes an earlier row, the file is written anew and then replaces the old one.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / METRICS_FILE
        self._rows: dict[int, MetricsRow] | None = None
        self._columns: list[str] = []  # of the file; empty at first, so that the first row rewrites it

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @property
    def rows(self) -> dict[int, MetricsRow]:
        """The numbers of each turn; those of an earlier process are read from the file at first use."""
        if self._rows is None:
            self._rows = {int(row["turn"]): row for row in read_rows(self.path)}
        return self._rows

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        """Do nothing: config.yaml has the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add numbers to the row of a turn."""
        turn = int(metrics["turn"] if step is None else step)
        follows = turn > next(reversed(self.rows), -1)
        row = self.rows.setdefault(turn, {"turn": turn})
        row |= {name: _to_number(value) for name, value in metrics.items()} | {"turn": turn}
        if follows and row.keys() <= set(self._columns):
            with report_disk_errors(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_format_row(row.get(name) for name in self._columns))
        else:
            self._rewrite()

    @rank_zero_only
    def rewind_to(self, turn: int) -> None:
        """Drop the rows of later turns, which a resumed run repeats."""
        later = [t for t in self.rows if t > turn]
        for t in later:
            del self.rows[t]
        if later:
            self._rewrite()

    def _rewrite(self) -> None:
        self._rows = dict(sorted(self.rows.items()))
        self._columns = order_columns(self._rows.values())
        lines = [_format_row(row.get(name) for name in self._columns) for row in self._rows.values()]
        write_text(self.path, "".join([_format_row(self._columns), *lines]))


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
