"""Samples of a trained generator, from a configuration to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gantry.runs.description import Description, find_generator, read_description

SUFFIXES = {"grid": ".png", "png": "", "npz": ".npz", "interpolation": ".webp"}
MOST = {"grid": 10_000, "interpolation": 2_000}  # pictures are made in memory


@dataclass(frozen=True)
class Request:
    """Which samples: sample i depends on (seed, i) alone. `label` is a class, None all classes in turn.

    `truncation` bounds every entry of z, None leaves them be.
    """

    n: int
    seed: int
    label: int | None = None
    truncation: float | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        if self.truncation is not None and self.truncation <= 0:
            raise ValueError(f"truncation must be above 0 or null, got {self.truncation}")


def sample(cfg: DictConfig) -> Path:
    """Write what is asked for; -> the file or folder. Raises ValueError before anything heavy is imported."""
    run = Path(cfg.run)
    folder = find_generator(run, cfg.which)
    what = read_description(folder)
    request = Request(cfg.n, cfg.seed, label_of(cfg["class"], what), cfg.truncation)
    check(cfg.what, request, what)
    out = Path(cfg.out) if cfg.out else run / "generated" / default_name(cfg.what, request)

    from gantry.runs import sampling_jobs  # torch, seconds to import

    sampling_jobs.run(cfg.what, folder, request, out, cfg.device)
    return out


def check(kind: str, request: Request, what: Description) -> None:
    """Raise ValueError for a kind of output that does not exist or does not suit these samples."""
    if kind not in SUFFIXES:
        raise ValueError(f"what must be one of {', '.join(SUFFIXES)}, got {kind}")
    if kind == "png" and (len(what.shape) != 3 or what.shape[0] > 4):
        raise ValueError(
            f"what must be grid, npz or interpolation for samples of shape {what.shape}, got png"
        )
    if request.n > MOST.get(kind, request.n):
        raise ValueError(f"n must be at most {MOST[kind]} for what={kind}, got {request.n}")


def label_of(chosen: Any, what: Description) -> int | None:
    """The class that a number or a name stands for. Raises ValueError when there is no such class."""
    if chosen is None:
        return None
    if what.num_classes == 0:
        raise ValueError(f"class must be null for a generator without classes, got {chosen}")
    names = [str(name) for name in what.extra.get("classes", ())]
    label = names.index(chosen) if chosen in names else chosen
    if type(label) is not int or not 0 <= label < what.num_classes:
        known = f", or one of {', '.join(names)}" if names and len(names) <= 20 else ""
        raise ValueError(f"class must be one of 0 to {what.num_classes - 1}{known}, got {chosen}")
    return label


def default_name(kind: str, request: Request) -> str:
    """A name that says what is in it: `grid-64-seed0-class3.png`."""
    label = "" if request.label is None else f"-class{request.label}"
    bound = "" if request.truncation is None else f"-truncation{request.truncation:g}"
    return f"{kind}-{request.n}-seed{request.seed}{label}{bound}{SUFFIXES[kind]}"
