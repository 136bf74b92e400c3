"""What each switch of the trainer gains or costs, by which its YAML was chosen."""

from dataclasses import replace
from statistics import median

from speed.experiments import Options, cases, race
from speed.markdown_page import table
from speed.plain_loop import GANTRY, PLAIN
from speed.timing import milliseconds, ratio, ratios

HEADER = ("net", "switch", "Gantry, ms a turn", "Gantry / plain", "times the turn as it is")
SWITCHES = {
    "cpu": ("trainer.channels_last=false", "trainer.compile=true", "trainer.precision=bf16-mixed"),
    "cuda": (
        "trainer.channels_last=true", "trainer.compile=true", "trainer.precision=bf16-mixed",
        "trainer.precision=bf16-mixed trainer.channels_last=true", "trainer.tf32=false",
    ),
}  # fmt: skip
NETS = {"cpu": ("mlp, 28x28", "dcgan_small, 8x8"), "cuda": ("dcgan, 32x32", "sngan, 32x32")}
ROUNDS = 10


def measure(options: Options) -> str:
    """A row for each net as its trainer has it, and one for each switch turned."""
    few = replace(options, rounds=min(ROUNDS, options.rounds))
    nets = ("mlp, points",) if options.toy else NETS[options.device.type]
    return table(HEADER, [row for net in nets for row in turned(net, few)])


def turned(net: str, options: Options) -> list[list[str]]:
    """The rows of a net. Turns are set against the plain loop of their own race, since the machine's speed changes."""
    rows, shares = list[list[str]](), list[float]()
    case = replace(cases(options)[net], against=(PLAIN,))
    for words in ("", *SWITCHES[options.device.type]):
        times = race(case, options, *words.split())["times"]
        ours, plain = times[GANTRY], times[PLAIN]
        shares.append(median(ratios(ours, plain)))
        said = f"`{words}`" if words else "as it is"
        rows.append([net, said, milliseconds(ours), ratio(ours, plain), f"{shares[-1] / shares[0]:.2f}"])
    return rows
