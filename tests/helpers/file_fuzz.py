"""Mutations of files and of the values in them, for the fuzzers of tests/fuzz."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEFAULTS = {"GANTRY_FUZZ_FIRST": 0, "GANTRY_FUZZ": 40}  # by environment variable
ODD_VALUES: tuple[Any, ...] = (
    *(None, -1, 0, 1, 2**70, 0.5, float("nan"), float("inf"), 1e308, True, "", "abc", "größe 尺寸", "../../up", "/"),
    *(
        [],
        {},
        [None],
        [[]],
        {"a": {}},
        ["x"] * 50,
        "x" * 5000,
        "${oc.env:HOME}",
        "${.}",
        "${seed}",
        "a\nb",
        "</script>",
    ),
)


def list_cases(share: int = 1) -> range:
    """Return the numbers of the cases of a fuzzer: 40, or GANTRY_FUZZ, from GANTRY_FUZZ_FIRST on; one of `share`."""
    first, count = (int(os.environ.get(name, default)) for name, default in DEFAULTS.items())
    return range(first, first + max(8, count // share))


class Touch:
    """An object whose pickle creates a folder when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def mutate_bytes(source: random.Random, data: bytes) -> bytes:
    """Return data with one fault: cut off, changed bytes, bytes left out or repeated, other data."""
    start, stop = sorted(source.randrange(len(data) + 1) for _ in range(2))
    length = source.choice([1, 8, 64])
    faults: tuple[Callable[[], bytes], ...] = (
        lambda: data[:start],
        lambda: data[:start] + source.randbytes(length) + data[start + length :],
        lambda: data[:start] + data[stop:],
        lambda: data[:stop] + data[start:],
        lambda: b"\xff\xfe" + data,
        lambda: b"",
        lambda: source.randbytes(200),
        lambda: b"[" * 5000,
        lambda: b"PK\x03\x04" + source.randbytes(64),
    )
    return source.choice(faults)()


def mutate_file(source: random.Random, path: Path) -> None:
    """Damage a file, or put something else into its place."""
    data, faults = path.read_bytes(), ("bytes",) * 12 + ("none", "folder", "loop", "fifo", "unreadable", "itself")
    fault = source.choice(faults)
    if fault == "bytes":
        path.write_bytes(mutate_bytes(source, data))
        return
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault in ("loop", "itself"):
        path.symlink_to(path.name if fault == "itself" else path.parent)
    elif fault == "fifo":
        os.mkfifo(path)
    elif fault == "unreadable":
        path.write_bytes(data)
        path.chmod(0)


def mutate_tree(source: random.Random, tree: Any, values: tuple[Any, ...] = ODD_VALUES) -> Any:
    """Return plain data with one value replaced, left out or added, anywhere in it."""
    if not isinstance(tree, dict | list) or not tree or source.random() < 0.15:
        return source.choice(values)
    changed: Any = tree.copy()
    key = source.choice(list(tree)) if isinstance(tree, dict) else source.randrange(len(tree))
    fault = source.random()
    if fault < 0.1:
        del changed[key]
    elif fault < 0.2 and isinstance(tree, dict):
        changed[source.choice(["extra", "", "_target_", "_args_", "0"])] = source.choice(values)
    else:
        changed[key] = mutate_tree(source, tree[key], values)
    return changed


def copy_tree(folder: Path, copy: Path) -> Path:
    """Copy a folder anew, whatever was made of the earlier copy; -> the copy."""
    if copy.exists():
        for path in (*copy.rglob("*"), copy):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(copy)
    return Path(shutil.copytree(folder, copy))
