"""The numbers that a run ends with: `summary.json` in its folder, every score beside its protocol."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gantry.errors import UserError
from gantry.files import write_text
from gantry.runs.layout import SUMMARY_FILE
from gantry.values import non_finite_to_none


def write_summary(folder: Path, entries: Mapping[str, Any]) -> None:
    """Put entries into the summary, each in place of an earlier one of its name; one process calls it.

    An entry is replaced as a whole, for its scores and their protocol belong together.
    """
    summary = read_summary(folder) | {name: non_finite_to_none(entry) for name, entry in entries.items()}
    write_text(folder / SUMMARY_FILE, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary so far, {} before it is written. Raises UserError if it cannot be read."""
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{SUMMARY_FILE} must be JSON, got {path}: {error}") from None


def read_checkpoint_rule(folder: Path, name: str) -> str:
    """Return in words how the generator `name` (best, last) of a run was chosen."""
    protocol = read_summary(folder).get(name, {}).get("protocol", {})
    return str(protocol.get("checkpoint", name))


def read_best_score(folder: Path, monitor: str | None) -> float | None:
    """Return the best value of the monitored score while the run trained, which selected best.ckpt; None without one.

    It is what a search optimises. The report has the number to be believed: made once, of other latents.
    """
    value = read_summary(folder).get("best", {}).get("scores", {}).get(monitor)
    return None if value is None else float(value)
