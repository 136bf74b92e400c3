"""The compare command: many runs on one page."""

import time
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from gantry.compare.comparison import Comparison, compare_runs, format_verdict, list_remarks
from gantry.compare.find_runs import read_runs
from gantry.compare.markdown import format_comparison
from gantry.compare.page.page import render_page
from gantry.errors import RunError, UserError, format_on_one_line, user_errors
from gantry.files import check_output_file, write_text


def compare(cfg: DictConfig) -> Path:
    """Write the page and the table of the runs in `runs`, and print the verdict; -> the page."""
    with user_errors():
        folders, pictures, out = parse_compare_config(cfg)
    result = read_runs(folders)
    comparison = compare_runs(result.runs, result.unreadable)
    origin = f"{time.strftime('%Y-%m-%d %H:%M')}, from {', '.join(folders)}"
    write_output_file(out, render_page(comparison, format_title(comparison), origin, pictures))
    write_output_file(out.with_suffix(".md"), format_comparison(comparison))
    lines = [format_verdict(comparison), *(f"- {line}" for line in list_remarks(comparison))]
    print("\n".join(map(format_on_one_line, lines)))
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
    return [str(folder) for folder in runs], cfg.pictures, page


def write_output_file(path: Path, text: str) -> None:
    """Write a file. Raises UserError if that is impossible."""
    try:
        write_text(path, text)
    except RunError as error:
        raise UserError(f"out must be where a file can be written, got {error}") from None


def format_title(comparison: Comparison) -> str:
    """Return `8 runs, 4 settings`."""
    runs, settings = len(comparison.runs), len({one.values for one in comparison.groups})
    return f"{runs} run{'s' * (runs != 1)}, {settings} setting{'s' * (settings != 1)}"
