"""What each switch of the trainer gains or costs, by which its YAML was chosen."""

from dataclasses import replace
from statistics import median

from speed.experiments import BenchmarkOptions, make_race_cases, run_race
from speed.markdown_page import format_table
from speed.plain_loop import GANTRY, PLAIN
from speed.timing import compute_ratios, format_milliseconds, format_ratio

HEADER = ("net", "switch", "Gantry, ms a turn", "Gantry / plain", "times the turn as it is")
SWITCHES_TO_MEASURE = {
    "cpu": ("hardware.channels_last=false", "hardware.compile=true", "trainer.precision=bf16-mixed"),
    "cuda": (
        "hardware.channels_last=true", "hardware.compile=true", "trainer.precision=bf16-mixed",
        "trainer.precision=bf16-mixed hardware.channels_last=true", "hardware.tf32=false",
    ),
}  # fmt: skip
NETS = {"cpu": ("mlp, 28x28", "dcgan_small, 8x8"), "cuda": ("dcgan, 32x32", "sngan, 32x32")}
ROUNDS = 10


def measure(options: BenchmarkOptions) -> str:
    """A row for each net as its trainer has it, and one for each switch turned."""
    few = replace(options, rounds=min(ROUNDS, options.rounds))
    nets = ("mlp, points",) if options.toy else NETS[options.device.type]
    return format_table(HEADER, [row for net in nets for row in measure_switches(net, few)])


def measure_switches(net: str, options: BenchmarkOptions) -> list[list[str]]:
    """The rows of a net. Turns are set against the plain loop of their own race, since the machine's speed changes."""
    rows, shares = list[list[str]](), list[float]()
    case = replace(make_race_cases(options)[net], against=(PLAIN,))
    for words in ("", *SWITCHES_TO_MEASURE[options.device.type]):
        times = run_race(case, options, *words.split())["times"]
        ours, plain = times[GANTRY], times[PLAIN]
        shares.append(median(compute_ratios(ours, plain)))
        said = f"`{words}`" if words else "as it is"
        rows.append([net, said, format_milliseconds(ours), format_ratio(ours, plain), f"{shares[-1] / shares[0]:.2f}"])
    return rows
