"""Read back what WandbLogger wrote, from W&B's offline files. Their format is private to W&B, so only tests read it."""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from wandb.proto.wandb_internal_pb2 import Record

from gantry.runs.layout import WANDB_FOLDER
from gantry.runs.metrics_csv import Column

BLOCK_BYTES, HEADER_BYTES = 32768, 7  # a block of the LevelDB log, and the header of a record
FULL_TYPE, LAST_TYPE = 1, 4  # a record in one piece, and the last of several pieces


@dataclass(frozen=True)
class WandbRun:
    """A run as W&B stored it; `config` has flat names (optim/lr), `images` the sample sheet of each turn.

    `exit_code` is None until the run has ended.
    """

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    rows: dict[int, dict[str, Any]]
    summary: dict[str, Any]
    images: dict[int, Path]
    exit_code: int | None

    @property
    def metrics(self) -> dict[str, Column]:
        """Return the columns by name in ascending turns, NaN for missing values, as `read_columns` does."""
        rows = [{k: v for k, v in row.items() if is_metric(k, v)} for _, row in sorted(self.rows.items())]
        names = dict.fromkeys(["turn", "kimg", *(name for row in rows for name in row)])
        return {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names} if rows else {}


def find_wandb_logs(folder: Path) -> list[Path]:
    """Return the W&B logs in a run folder, oldest first."""
    return sorted(folder.glob(f"{WANDB_FOLDER}/*run-*/*.wandb"))


def read_wandb_run(paths: Sequence[Path]) -> WandbRun:
    """Read a run from its logs; a resumed run has several. Raises ValueError if they contain no run."""
    logs = [(path, list(read_wandb_records(path))) for path in paths]
    all_records = [record for _, records in logs for record in records]
    runs = filter_records("run", all_records)
    if not runs:
        raise ValueError(f"no complete W&B run in {', '.join(map(str, paths))}")
    exits = filter_records("exit", logs[-1][1])
    first = runs[0]
    return WandbRun(
        id=first.run_id,
        name=first.display_name,
        group=first.run_group,
        job_type=first.job_type,
        tags=tuple(first.tags),
        config=merge_updates(
            [run.config.update for run in runs] + [record.update for record in filter_records("config", all_records)]
        ),
        rows=read_history(all_records),
        summary=merge_updates([record.update for record in filter_records("summary", all_records)]),
        images={turn: path for log, records in logs for turn, path in find_sample_images(log.parent, records).items()},
        exit_code=int(exits[0].exit_code) if exits else None,
    )


def read_wandb_records(path: Path) -> Iterator[Any]:
    """Yield the complete records of a LevelDB log, with their pieces joined; W&B's own header comes first."""
    data, record, at = path.read_bytes(), b"", HEADER_BYTES
    while at + HEADER_BYTES <= len(data):
        if BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES:
            at += BLOCK_BYTES - at % BLOCK_BYTES  # the rest of this block is too short for a header
            continue
        length, kind = struct.unpack("<4xHB", data[at : at + HEADER_BYTES])
        record, at = record + data[at + HEADER_BYTES : at + HEADER_BYTES + length], at + HEADER_BYTES + length
        if at > len(data):
            return
        if kind in (FULL_TYPE, LAST_TYPE):
            yield Record.FromString(record)
            record = b""


def filter_records(kind: str, records: Sequence[Any]) -> list[Any]:
    """Return the records of one kind."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def items_to_dict(items: Any) -> dict[str, Any]:
    """Return the items of a configuration, a history row or a summary as a dict."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def merge_updates(updates: Sequence[Any]) -> dict[str, Any]:
    """Apply updates one after the other, without the keys that W&B adds for itself."""
    pairs = {key: value for items in updates for key, value in items_to_dict(items).items()}
    return {key: value for key, value in pairs.items() if not key.startswith("_")}


def read_history(records: Sequence[Any]) -> dict[int, dict[str, Any]]:
    """Return turn -> logged values; a turn that a resumed run repeats replaces the earlier one."""
    rows: dict[int, dict[str, Any]] = {}
    for row in (items_to_dict(record.item) for record in filter_records("history", records)):
        if "turn" in row:
            rows.setdefault(int(row["turn"]), {}).update(row)
    return rows


def find_sample_images(folder: Path, records: Sequence[Any]) -> dict[int, Path]:
    """Return turn -> the sample sheet of that turn, for the files that exist."""
    rows = {turn: row for turn, row in read_history(records).items() if isinstance(row.get("samples.path"), str)}
    paths = {turn: folder / "files" / row["samples.path"] for turn, row in rows.items()}
    return {turn: path for turn, path in paths.items() if path.is_file()}


def is_metric(name: str, value: Any) -> bool:
    """Return True for a number that Gantry logged, not for W&B's own keys and not for parts of an image."""
    return not name.startswith("_") and "." not in name and isinstance(value, int | float)
