"""Samples of a trained generator, from a configuration to files."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from gantry.commands.log_results import check_logger, log_samples
from gantry.commands.sample_request import GRID, KINDS, Request, check, check_out, default_name, label_of
from gantry.errors import mistakes
from gantry.runs.generator_json import find_generator, read_description


def sample(cfg: DictConfig) -> Path:
    """Write what is asked for; -> the file or folder. Refuses before anything heavy is imported."""
    with mistakes():
        if cfg.run is None:
            raise ValueError("run must be the folder of a run, got null")
        run = Path(cfg.run)
        folder = find_generator(run, cfg.which)
        what = read_description(folder)
        request = Request(cfg.n, cfg.seed, label_of(cfg["class"], what), cfg.truncation)
        check(cfg.what, request, what)
        out = Path(cfg.out) if cfg.out else run / "generated" / default_name(cfg.what, request)
        check_out(KINDS[cfg.what], request, out)
        check_logger(cfg.log_to)
        if cfg.log_to is not None and cfg.what != GRID:
            raise ValueError(f"log_to must be null for what={cfg.what} (a grid alone is shown), got {cfg.log_to}")

    from gantry.commands import sample_job  # torch, seconds to import

    sample_job.run(cfg.what, folder, request, out, cfg.device)
    if cfg.log_to is not None:
        log_samples(cfg.log_to, run, out, {"which": folder.name, **asdict(request)}, what.extra.get("turn", 0))
    return out
