"""A turn of Gantry against the same turn of a plain loop, and against what the machine could do at most."""

from functools import cache
from statistics import median
from typing import Any

from speed.experiments import BenchmarkOptions, compose_train_config, get_trainer_override, make_race_cases, run_race
from speed.markdown_page import format_table
from speed.plain_loop import GANTRY, PLAIN, TUNED
from speed.timing import format_milliseconds, format_ratio

HEADER = ("net", "batch", "Gantry, ms a turn", "plain", "tuned", "Gantry / plain", "Gantry / tuned", "images/s")


def list_capture_overrides(options: BenchmarkOptions) -> list[list[str]]:
    """Overrides of the runs: on a GPU with one graph for the turn and without, if Gantry has that switch."""
    if options.device.type != "cuda" or "capture" not in compose_train_config([get_trainer_override(options)]).trainer:
        return [[]]
    return [["hardware.capture=true"], ["hardware.capture=false"]]


@cache
def run_all_races(options: BenchmarkOptions) -> dict[str, dict[str, Any]]:
    """The race of every net, measured once."""
    results = {}
    for name, case in make_race_cases(options).items():
        for words in list_capture_overrides(options):
            label = ", ".join([name, *(f"`{word}`" for word in (*words, *options.overrides))])
            results[label] = run_race(case, options, *words)
    return results


def measure(options: BenchmarkOptions) -> str:
    """Milliseconds of a turn and real images per second."""
    rows = [format_turn_row(name, result) for name, result in run_all_races(options).items()]
    return format_table(HEADER, rows)


def format_turn_row(name: str, result: dict[str, Any]) -> list[str]:
    ours, plain, tuned = (result["times"][who] for who in (GANTRY, PLAIN, TUNED))
    rate = f"{result['images'] / median(ours):,.0f}"
    times = [format_milliseconds(values) for values in (ours, plain, tuned)]
    return [name, str(result["batch"]), *times, format_ratio(ours, plain), format_ratio(ours, tuned), rate]
