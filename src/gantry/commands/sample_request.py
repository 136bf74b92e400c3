"""The arguments of the sample command, checked without torch, so that a mistake is refused at once."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.files import check_output_file
from gantry.runs.generator_json import GeneratorInfo
from gantry.runs.new_folder import check_output_writable


@dataclass(frozen=True)
class OutputFormat:
    """A kind of output: the suffix of its file (a folder has none) and how many samples it can take."""

    suffix: str
    max_samples: float = math.inf

    @property
    def is_folder(self) -> bool:
        return not self.suffix


GRID = "grid"

OUTPUT_FORMATS = {
    GRID: OutputFormat(".png", max_samples=10_000),  # the picture is built in memory
    "png": OutputFormat(""),
    "npz": OutputFormat(".npz"),
    "interpolation": OutputFormat(".webp", max_samples=2_000),
}


@dataclass(frozen=True)
class SampleRequest:
    """The samples to write; sample i depends on (seed, i) alone. `label` is a class, None all classes in turn.

    `truncation` bounds every entry of z, or is the psi of a generator that truncates by itself; None for neither.
    """

    n: int
    seed: int
    label: int | None = None
    truncation: float | None = None

    def __post_init__(self) -> None:
        if type(self.n) is not int or self.n < 1:
            raise ValueError(f"n must be an integer of at least 1, got {self.n}")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed must be an integer of at least 0, got {self.seed}")
        bound = self.truncation
        if bound is not None and not (isinstance(bound, int | float) and bound > 0):
            raise ValueError(f"truncation must be a number above 0 or null, got {bound}")


def check_sample_request(kind: str, request: SampleRequest, what: GeneratorInfo) -> None:
    """Raise ValueError for a kind of output that does not exist or does not suit these samples."""
    if kind not in OUTPUT_FORMATS:
        raise ValueError(f"what must be one of {', '.join(OUTPUT_FORMATS)}, got {kind}")
    if OUTPUT_FORMATS[kind].is_folder and (len(what.shape) != 3 or what.shape[0] > 4):
        raise ValueError(f"what must not be {kind} for samples of shape {what.shape}, got {kind}")
    if request.n > OUTPUT_FORMATS[kind].max_samples:
        raise ValueError(f"n must be at most {OUTPUT_FORMATS[kind].max_samples} for what={kind}, got {request.n}")


def check_output_path(kind: OutputFormat, request: SampleRequest, out: Path) -> None:
    """Raise ValueError for a path that is in use. Metrics read whole folders: a folder must have no other files."""
    check_output_writable("out", out)
    if out.exists() and out.is_dir() != kind.is_folder:
        raise ValueError(f"out must be a {'folder' if kind.is_folder else 'file'} here, got {out}")
    if not kind.is_folder:
        check_output_file("out", out)
    if out.exists() and kind.is_folder:
        strange = {path.name for path in out.iterdir()} - set(sample_file_names(request.n))
        if strange:
            raise ValueError(f"out must be a folder without other files, got {out} with {min(strange)}")


def sample_file_names(n: int) -> list[str]:
    """Return the names of the files in a folder of n samples."""
    return [f"{i:05d}.png" for i in range(n)]


def parse_label(chosen: Any, what: GeneratorInfo) -> int | None:
    """Return the class for a number or a name. Raises ValueError if there is no such class."""
    if chosen is None:
        return None
    if what.num_classes == 0:
        raise ValueError(f"class must be null for a generator without classes, got {chosen}")
    classes = [str(name) for name in what.extra.get("classes", ())]
    label = classes.index(chosen) if chosen in classes else chosen
    if type(label) is not int or not 0 <= label < what.num_classes:
        known = f", or one of {', '.join(classes)}" if 0 < len(classes) <= 20 else ""
        raise ValueError(f"class must be one of 0 to {what.num_classes - 1}{known}, got {chosen}")
    return label


def default_file_name(kind: str, request: SampleRequest) -> str:
    """Return a name that describes the samples: `grid-64-seed0-class3.png`."""
    label = "" if request.label is None else f"-class{request.label}"
    bound = "" if request.truncation is None else f"-truncation{request.truncation:g}"
    return f"{kind}-{request.n}-seed{request.seed}{label}{bound}{OUTPUT_FORMATS[kind].suffix}"
