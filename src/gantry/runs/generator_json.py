"""generator.json: what a saved generator is. Free of torch, so that a wrong request is refused at once."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gantry.config.rules import Rule
from gantry.errors import UserError
from gantry.files import write_text
from gantry.runs.layout import GENERATOR_JSON, generator_folder
from gantry.runs.stored_values import COUNT, MAPPING, NUMBER, TEXT, TEXTS, check_values, is_count, read_json

GENERATOR_RULES: dict[str, Rule] = {
    "": MAPPING,
    "config": MAPPING,
    "config._target_": TEXT,
    "shape": ("a list of integers", lambda shape: isinstance(shape, list) and all(map(is_count, shape))),
    **dict.fromkeys(("z_dim", "num_classes", "extra.turn"), COUNT),
    "sha256": TEXT,
    "extra": MAPPING,
    "extra.kimg": NUMBER,
    "extra.classes": TEXTS,
}


@dataclass(frozen=True)
class GeneratorInfo:
    """A generator in plain values: `config` is its class (`_target_`) and the arguments of its constructor.

    `sha256` is of the file of weights; `extra` says where it comes from: its turn, scores and so on.
    """

    config: dict[str, Any]
    shape: list[int]
    z_dim: int
    num_classes: int
    sha256: str
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `folder`/generator.json."""
        write_text(folder / GENERATOR_JSON, json.dumps(asdict(self), indent=2) + "\n")


def read_generator_info(folder: Path) -> GeneratorInfo:
    """Read `folder`/generator.json. Raises UserError when it is missing or is not one."""
    path = folder / GENERATOR_JSON
    if not path.is_file():
        raise UserError(f"generator must be a folder with {GENERATOR_JSON}, got {folder}")
    try:
        values = read_json(path)
        check_values(path, values, GENERATOR_RULES)
        return GeneratorInfo(**values)
    except (ValueError, TypeError) as error:
        raise UserError(f"generator must have a whole {GENERATOR_JSON}, got {path}: {error}") from None


def find_generator(run: Path, which: str | None = None) -> Path:
    """Return the folder of the best (or, without scores, the last) generator of a run, or of the one that is named.

    Raises UserError when there is none.
    """
    if not run.is_dir():
        raise UserError(f"run must be the folder of a run, got {run}, which does not exist")
    names = ("best", "last") if which is None else (which,)
    for folder in (generator_folder(run, name) for name in names):
        if (folder / GENERATOR_JSON).is_file():
            return folder
    raise UserError(f"run must be a folder with generator/{' or generator/'.join(names)}, got {run}")


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
