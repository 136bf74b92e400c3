"""What a turn costs as batch, width and side grow, and with two processes."""

from dataclasses import replace
from statistics import median

from ddp import measure_turn_ms as of_processes

from speed.experiments import BenchmarkOptions, RaceCase, make_noise_overrides, run_race
from speed.markdown_page import format_table
from speed.plain_loop import GANTRY, PLAIN
from speed.timing import format_milliseconds, format_ratio

HEADER = ("`dcgan_small`", "Gantry, ms a turn", "plain", "Gantry / plain", "times the turn above")
PROCESSES_HEADER = ("processes", "threads of each", "ms a turn", "times as fast")
BATCH_SIZES, WIDTHS, IMAGE_SIDES = (16, 64, 256), (16, 32, 64), {"cpu": 16, "cuda": 32}
ROUNDS = 3


def make_series(options: BenchmarkOptions) -> list[list[tuple[str, list[str]]]]:
    """Three series: what is said of each member, and its overrides; the middle is in all of them."""
    small = ["model=dcgan_small", "model.conditional=false"]
    if options.toy:
        return [[(f"batch {n}", [*small, *make_noise_overrides(1, 8), f"data.batch_size={n}"]) for n in (2, 4)]]
    side = IMAGE_SIDES[options.device.type]
    widths = [[f"model.{net}.width={width}" for net in "GD"] for width in WIDTHS]
    return [
        [(f"batch {n}", [*small, *make_noise_overrides(3, side), f"data.batch_size={n}"]) for n in BATCH_SIZES],
        [(f"width {width}", [*small, *make_noise_overrides(3, side), *words]) for width, words in zip(WIDTHS, widths)],
        [(f"side {n}", [*small, *make_noise_overrides(3, n)]) for n in (side // 2, side, 2 * side)],
    ]


def measure(options: BenchmarkOptions) -> str:
    """One table, on a CPU two."""
    few = replace(options, rounds=min(ROUNDS, options.rounds), seconds=min(0.2, options.seconds))
    rows = [row for series in make_series(options) for row in measure_series(series, few)]
    text = format_table(HEADER, rows)
    return (
        text
        if options.device.type != "cpu"
        else f"{text}\n\n{format_table(PROCESSES_HEADER, measure_processes(options))}"
    )


def measure_series(series: list[tuple[str, list[str]]], options: BenchmarkOptions) -> list[list[str]]:
    """The rows of a series."""
    rows, before = [], None
    for name, words in series:
        times = run_race(RaceCase(tuple(words), every=1000, against=(PLAIN,)), options)["times"]
        ours, plain = times[GANTRY], times[PLAIN]
        growth = f"{median(ours) / before:.2f}" if before else ""
        before = median(ours)
        rows.append([name, format_milliseconds(ours), format_milliseconds(plain), format_ratio(ours, plain), growth])
    return rows


def measure_processes(options: BenchmarkOptions) -> list[list[str]]:
    """`dcgan_small` on the digits in batches of 256: one process with one thread, with two, and two processes."""
    kinds = {"1 and 1": ("cpu", 1), "1 and 2": ("cpu", 2), "2 and 1": ("ddp_cpu", 1)}
    words = ["model=mlp"] if options.toy else ["model=dcgan_small", "data.batch_size=256"]
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(options.full_or_toy(2, 1)):
        for name, (trainer, threads) in kinds.items():
            times[name].append(of_processes(words, hooks=False, trainer=trainer, threads=threads))
    first = median(times["1 and 1"])
    return [[*name.split(" and "), f"{median(ms):.1f}", f"{first / median(ms):.2f}"] for name, ms in times.items()]
