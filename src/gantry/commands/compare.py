"""The compare command: many runs on one page."""

import time
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from gantry.compare.data_sets import compare_by_data_set, format_verdicts
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_data_sets
from gantry.compare.page.page import render_page
from gantry.errors import RunError, UserError, format_on_one_line, user_errors
from gantry.files import check_output_file, write_text
from gantry.runs.new_folder import check_output_writable


def compare(cfg: DictConfig) -> Path:
    """Write the page and the table of the runs in `runs`, and print the verdict; -> the page."""
    with user_errors():
        folders, pictures, out = parse_compare_config(cfg)
    result = read_runs(folders)
    comparison = compare_by_data_set(result.runs, result.unreadable)
    origin = f"{time.strftime('%Y-%m-%d %H:%M')}, from {', '.join(folders)}"
    write_output_file(out, render_page(comparison, origin, pictures))
    write_output_file(out.with_suffix(".md"), format_data_sets(comparison))
    print("\n".join(map(format_on_one_line, format_verdicts(comparison))))
    print(f"{out} and {out.with_suffix('.md').name}")
    return out


def parse_compare_config(cfg: DictConfig) -> tuple[list[str], int, Path]:
    """Return the folders, the turns of samples and the path of the page. Raises ValueError for invalid ones."""
    runs = [cfg.runs] if isinstance(cfg.runs, str) else cfg.runs
    if not isinstance(runs, ListConfig | list) or not runs or not all(isinstance(folder, str) for folder in runs):
        raise ValueError(f"runs must be folders of runs or of sweeps, [FOLDER,...], got {cfg.runs}")
    if type(cfg.pictures) is not int or cfg.pictures < 0:
        raise ValueError(f"pictures must be an integer of at least 0, got {cfg.pictures}")
    out = Path(cfg.out).expanduser()
    page = out if out.suffix == ".html" else out / "compare.html"
    if out.suffix == ".md" or (out.exists() and out.is_dir() != (out.suffix != ".html")):
        raise ValueError(f"out must be a folder or a path that ends in .html, got {cfg.out}")
    check_output_file("out", page)
    check_output_writable("out", page)
    return [str(folder) for folder in runs], cfg.pictures, page


def write_output_file(path: Path, text: str) -> None:
    """Write a file. Raises UserError if that is impossible."""
    try:
        write_text(path, text)
    except RunError as error:
        raise UserError(f"out must be where a file can be written, got {error}") from None
