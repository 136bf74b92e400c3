"""The sample command: samples of a trained generator, from a configuration to files."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from gantry.commands.log_results import check_logger_name, log_samples
from gantry.commands.sample_request import (
    GRID,
    OUTPUT_FORMATS,
    SampleRequest,
    check_output_path,
    check_sample_request,
    default_file_name,
    parse_label,
)
from gantry.config.trust import check_targets, read_trusted_packages
from gantry.errors import user_errors
from gantry.files import check_links
from gantry.runs.generator_json import find_generator, read_generator_info
from gantry.runs.layout import GENERATED_FOLDER, WANDB_FOLDER, split_run_path


def write_samples(cfg: DictConfig) -> Path:
    """Write the samples; -> the file or folder. Mistakes are refused before torch is imported."""
    with user_errors():
        if cfg.run is None:
            raise ValueError("run must be the folder of a run, got null")
        run, chosen = split_run_path(Path(cfg.run))
        folder = find_generator(run, cfg.which or chosen)
        what, trusted = read_generator_info(folder), read_trusted_packages(cfg.get("trust"))
        check_targets(what.config, "generator", trusted)
        request = SampleRequest(cfg.n, cfg.seed, parse_label(cfg["class"], what), cfg.truncation)
        check_sample_request(cfg.what, request, what)
        out = Path(cfg.out) if cfg.out else run / GENERATED_FOLDER / default_file_name(cfg.what, request)
        if not cfg.out:
            check_links("run", run, besides=(WANDB_FOLDER,))
        check_output_path(OUTPUT_FORMATS[cfg.what], request, out)
        check_logger_name(cfg.log_to)
        if cfg.log_to is not None and cfg.what != GRID:
            raise ValueError(f"log_to must be null for what={cfg.what} (only a grid is logged), got {cfg.log_to}")

    from gantry.commands import sample_job  # imports torch, which takes seconds

    sample_job.write_generated_samples(cfg.what, folder, request, out, cfg.device, trusted)
    if cfg.log_to is not None:
        log_samples(cfg.log_to, run, out, {"which": folder.name, **asdict(request)}, what.extra.get("turn", 0))
    return out
