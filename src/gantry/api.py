"""The Python API: what `import gantry` offers, thin over the functions that the commands call.

A function imports torch when it is called and needs it: listing runs and reading their numbers takes no seconds.
Paths may begin with ~. A mistake of the caller is a ValueError that says in one line what is expected.
"""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gantry.compare.find_runs import read_runs
from gantry.compare.run_record import RunRecord
from gantry.runs import metrics_csv
from gantry.runs.generator_json import GeneratorInfo, find_generator
from gantry.runs.layout import CONFIG_FILE, GENERATOR_JSON, METRICS_FILE

if TYPE_CHECKING:
    from torch import Tensor

    from gantry.evaluation.run import Entry
    from gantry.evaluation.sample_files import SampleFiles
    from gantry.nets.contract import Generator

log = logging.getLogger(__name__)


def find_runs(*folders: Path | str) -> list[RunRecord]:
    """Read all runs in these folders, which are runs, sweeps or folders of both.

    Each has its `name`, `folder`, `status`, settings (`config`, by flat names such as "optim.D.lr"), `overrides`, and
    in `entries["best"]` and `entries["last"]` turn, scores and protocol; `get_score("best", "fd_digits")` is one of
    the scores, None if it is missing. Logs a warning for each run that cannot be read. Raises ValueError for a folder
    that does not exist, and if there is no run at all.
    """
    result = read_runs([str(folder) for folder in folders])
    for line in result.unreadable:
        log.warning("%s", line)
    return list(result.runs)


def read_metrics(run: Path | str) -> "dict[str, metrics_csv.Column]":
    """Return the columns of a run's metrics.csv by name: float64 [rows] in ascending turns, NaN where nothing is.

    `pandas.DataFrame(read_metrics(run))` is the same table. Raises ValueError for a folder without metrics.csv.
    """
    folder = Path(run).expanduser()
    if not (folder / METRICS_FILE).is_file():
        raise ValueError(f"run must be the folder of a run with {METRICS_FILE}, got {run}")
    return metrics_csv.read_columns(folder)


def load_generator(
    run: Path | str, which: Literal["best", "last"] | None = None, trust: Sequence[str] = ()
) -> "Generator":
    """Return the averaged generator of a run: G(z [N, z_dim], c int64 [N]) -> x float [N, *G.shape] in [-1, 1].

    It is in evaluation mode, on the CPU. `which` is None for the best where scores chose one, else the last. `run` may
    also be a folder with a generator alone, generator.json and its weights. `trust` names packages of your own that may
    define it, beside those of GANTRY_TRUST. Raises ValueError for a folder without a generator, for a damaged one, and
    for one that is defined elsewhere.
    """
    from gantry.config.trust import read_trusted_packages
    from gantry.runs import generator

    folder = Path(run).expanduser()
    is_generator = which is None and (folder / GENERATOR_JSON).is_file()
    folder = folder if is_generator else find_generator(folder, which)
    return generator.load_saved_generator(folder, read_trusted_packages(list(trust)))


def sample(
    G: "Generator", n: int = 64, seed: int = 0, *, label: int | None = None, truncation: float | None = None
) -> "Tensor":
    """Return samples 0 .. n-1 of a seed, on the CPU: uint8 [n, *G.shape] for images, float32 [n, 2] for points.

    They are those of sample.py and of evaluations: sample i depends on (seed, i) alone. `label` is the class of all of
    them, None for all classes in turn; `truncation` bounds every entry of z, 0.7 for example, or is the psi of a
    generator that truncates by itself. G computes on the device that it is on. Raises ValueError for arguments out of
    range.
    """
    import torch

    from gantry.commands.sample_job import generate_batches
    from gantry.commands.sample_request import SampleRequest, parse_label
    from gantry.nets.contract import check_generator
    from gantry.pixels import to_uint8
    from gantry.sampling.truncation import truncate_generator

    check_generator(G)
    info = GeneratorInfo({}, list(G.shape), G.z_dim, G.num_classes, sha256="")
    request = SampleRequest(n, seed, parse_label(label, info), truncation)
    G = truncate_generator(G, truncation)
    batches = (x for x, _ in generate_batches(G, request, str(next(G.parameters()).device)))
    return torch.cat([to_uint8(x) if x.ndim == 4 else x for x in batches])


def score(
    samples: "Tensor | Generator | Path | str",
    data: str | None = None,
    metrics: str | None = None,
    *,
    num_samples: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> "Entry":
    """Score samples against real images as evaluate.py does: the entry has `scores` and `protocol`; nothing is written.

    `samples` are images uint8 [N, 1 or 3, H, W], points float [N, 2], a generator, the folder of a run, or a folder,
    .zip, .npz or .npy of images. `data` and `metrics` name choices of configs/data and configs/metrics; None stands
    for those of the run, or for the metrics that suit the data. `num_samples` and `seed` (of the latents) are None
    for those of the metrics' report, and all images. `overrides` are further words of evaluate.py, such as
    "reference=test", "checkpoint=last" or "scores=[frechet,kid]". Raises ValueError for a choice that does not exist
    or does not fit.
    """
    arguments = {"data": data, "metrics": metrics, "num_samples": num_samples, "seed": seed, "device": device}
    words = [f"{key}={value}" for key, value in arguments.items() if value is not None]
    cfg = _compose_evaluation([*words, *overrides], samples if isinstance(samples, str | Path) else None)

    import torch

    from gantry.commands.evaluate_job import run_evaluation
    from gantry.nets.contract import check_generator

    if isinstance(samples, str | Path):
        return run_evaluation(cfg)
    if isinstance(samples, torch.Tensor):
        return run_evaluation(cfg, files=_as_sample_files(samples))
    check_generator(samples)
    return run_evaluation(cfg, G=copy.deepcopy(samples))  # a copy: evaluations move G to their device


def _compose_evaluation(words: Sequence[str], path: Path | str | None) -> Any:
    """Return the configuration of an evaluation of the run or the images at `path`, None for samples in memory."""
    from gantry.commands.evaluate import complete_config
    from gantry.config.compose import compose_as_library, finalize_config
    from gantry.config.resolvers import register_resolvers
    from gantry.config.scores import check_selection_keys
    from gantry.config.text_values import quote_text_values
    from gantry.errors import user_errors

    register_resolvers()
    with user_errors():
        cfg = compose_as_library("evaluate", quote_text_values(words))
        if path is not None:
            folder = Path(path).expanduser()
            cfg["run" if (folder / CONFIG_FILE).is_file() else "samples"] = str(folder)
        finalize_config(cfg)
        cfg.output = None
        complete_config(cfg, in_memory=path is None)
        check_selection_keys(words, cfg.metrics)
    return cfg


def _as_sample_files(x: "Tensor") -> "SampleFiles":
    """Return images or points in memory as evaluations read those of files. Raises ValueError for other tensors."""
    import torch

    from gantry.evaluation.sample_files import SampleFiles

    if x.dtype.is_floating_point and x.ndim == 2:
        x = x.float()
    elif x.dtype != torch.uint8 or x.ndim != 4:
        raise ValueError(f"samples must be uint8 [N, C, H, W] or points float [N, 2], got {x.dtype} {list(x.shape)}")
    return SampleFiles(len(x), tuple(x.shape[1:]), lambda start, stop: x[start:stop])
