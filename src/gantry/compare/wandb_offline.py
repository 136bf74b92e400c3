"""W&B runs read back from the files that they leave, without a server."""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gantry.runs.metrics_csv import Column

LOG_BLOCK_BYTES, HEADER_BYTES = 32768, 7  # bytes of a block of the log, and of the head of a record
FULL_TYPE, LAST_TYPE = 1, 4  # kinds of records: in one piece, and the last piece of several


@dataclass(frozen=True)
class WandbRun:
    """What W&B was told of a run; `config` under flat names (optim/lr), `pictures` by their turn.

    `exit_code` is None as long as the run has not ended.
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
        """Columns by name in ascending turns, NaN where there is none: as `read_metrics` has them."""
        rows = [{k: v for k, v in row.items() if is_metric(k, v)} for _, row in sorted(self.rows.items())]
        names = dict.fromkeys(["turn", "kimg", *(name for row in rows for name in row)])
        return {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names} if rows else {}


def find_wandb_logs(folder: Path) -> list[Path]:
    """The logs of a W&B run in a run's folder, or in W&B's own folder of the run, in the order of their making."""
    return sorted(folder.glob("wandb/*run-*/*.wandb")) or sorted(folder.glob("*.wandb"))


def read_wandb_run(paths: Sequence[Path]) -> WandbRun:
    """A run from its logs, of which a resumed one has several. Raises ValueError if they hold none."""
    logs = [(path, list(read_wandb_records(path))) for path in paths]
    everything = [record for _, records in logs for record in records]
    runs = filter_records("run", everything)
    if not runs:
        raise ValueError(f"no whole W&B run in {', '.join(map(str, paths))}")
    ends = filter_records("exit", logs[-1][1])
    first = runs[0]
    return WandbRun(
        id=first.run_id,
        name=first.display_name,
        group=first.run_group,
        job_type=first.job_type,
        tags=tuple(first.tags),
        config=merge_updates(
            [run.config.update for run in runs] + [record.update for record in filter_records("config", everything)]
        ),
        rows=read_history(everything),
        summary=merge_updates([record.update for record in filter_records("summary", everything)]),
        images={turn: path for log, records in logs for turn, path in find_sample_images(log.parent, records).items()},
        exit_code=int(ends[0].exit_code) if ends else None,
    )


def read_wandb_records(path: Path) -> Iterator[Any]:
    """The records of a LevelDB log as far as it is written, pieces put together; W&B's head comes first."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # protobuf makes it as it runs

    data, record, at = path.read_bytes(), b"", HEADER_BYTES
    while at + HEADER_BYTES <= len(data):
        if LOG_BLOCK_BYTES - at % LOG_BLOCK_BYTES < HEADER_BYTES:
            at += LOG_BLOCK_BYTES - at % LOG_BLOCK_BYTES  # no room for a head is left in this block
            continue
        length, kind = struct.unpack("<4xHB", data[at : at + HEADER_BYTES])
        record, at = record + data[at + HEADER_BYTES : at + HEADER_BYTES + length], at + HEADER_BYTES + length
        if at > len(data):
            return
        if kind in (FULL_TYPE, LAST_TYPE):
            yield Record.FromString(record)
            record = b""


def filter_records(kind: str, records: Sequence[Any]) -> list[Any]:
    """The records of one kind."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def items_to_dict(items: Any) -> dict[str, Any]:
    """Items of a configuration, a row or a summary as a dict."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def merge_updates(updates: Sequence[Any]) -> dict[str, Any]:
    """Updates one after the other, without what W&B notes for itself."""
    pairs = {key: value for items in updates for key, value in items_to_dict(items).items()}
    return {key: value for key, value in pairs.items() if not key.startswith("_")}


def read_history(records: Sequence[Any]) -> dict[int, dict[str, Any]]:
    """Turn -> what was logged at it; what a resumed run repeats replaces what was there."""
    rows: dict[int, dict[str, Any]] = {}
    for row in (items_to_dict(record.item) for record in filter_records("history", records)):
        if "turn" in row:
            rows.setdefault(int(row["turn"]), {}).update(row)
    return rows


def find_sample_images(folder: Path, records: Sequence[Any]) -> dict[int, Path]:
    """Turn -> the picture of the samples, of those that are there."""
    found = {
        turn: folder / "files" / row["samples.path"]
        for turn, row in read_history(records).items()
        if has_sample_image(row)
    }
    return {turn: path for turn, path in found.items() if path.is_file()}


def has_sample_image(row: dict[str, Any]) -> bool:
    """Whether a row has a picture of samples."""
    return isinstance(row.get("samples.path"), str)


def is_metric(name: str, value: Any) -> bool:
    """Whether an entry of a row is one of our numbers, and no note of W&B and no picture."""
    return not name.startswith("_") and "." not in name and isinstance(value, int | float)
