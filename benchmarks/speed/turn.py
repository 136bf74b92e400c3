"""A turn of Gantry against the same turn of a plain loop, and against what the machine could do at most."""

from functools import cache
from statistics import median
from typing import Any

from speed.experiments import Options, cases, composed, race, trainer
from speed.markdown_page import table
from speed.plain_loop import GANTRY, PLAIN, TUNED
from speed.timing import milliseconds, ratio

HEADER = ("net", "batch", "Gantry, ms a turn", "plain", "tuned", "Gantry / plain", "Gantry / tuned", "images/s")


def captures(options: Options) -> list[list[str]]:
    """Overrides of the runs: on a GPU with one graph for the turn and without, if Gantry has that switch."""
    if options.device.type != "cuda" or "capture" not in composed([trainer(options)]).trainer:
        return [[]]
    return [["trainer.capture=true"], ["trainer.capture=false"]]


@cache
def races(options: Options) -> dict[str, dict[str, Any]]:
    """The race of every net, measured once."""
    results = {}
    for name, case in cases(options).items():
        for words in captures(options):
            label = ", ".join([name, *(f"`{word}`" for word in (*words, *options.words))])
            results[label] = race(case, options, *words)
    return results


def measure(options: Options) -> str:
    """Milliseconds of a turn and real images per second."""
    rows = [row(name, result) for name, result in races(options).items()]
    return table(HEADER, rows)


def row(name: str, result: dict[str, Any]) -> list[str]:
    ours, plain, tuned = (result["times"][who] for who in (GANTRY, PLAIN, TUNED))
    rate = f"{result['images'] / median(ours):,.0f}"
    times = [milliseconds(values) for values in (ours, plain, tuned)]
    return [name, str(result["batch"]), *times, ratio(ours, plain), ratio(ours, tuned), rate]
