"""Measure speed and memory of Gantry and of a baseline in the same run, and print Markdown tables.

make bench                                               # all parts, on a CPU in under a quarter of an hour
make bench ARGS="--write"                                # into docs/benchmarks.md; tables of other devices are kept
make bench ARGS="turn --device cuda --write"
python benchmarks/bench.py turn --set data.batch_size=8  # more overrides for all runs of Gantry
"""

import argparse
import importlib
import os
import shlex
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = [str(ROOT / "src"), str(ROOT / "benchmarks")]
sys.path[:0] = PATHS
os.environ["PYTHONPATH"] = os.pathsep.join(PATHS)  # for child processes
PARTS = ("turn", "switches", "floor", "loader", "evaluation", "memory", "scaling", "start")
DEFAULT_ROUNDS, DEFAULT_SECONDS = 20, 0.3


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="the most rounds of each race")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="the duration of a round of a race")
    parser.add_argument("--toy", action="store_true", help="tiny sizes, to test the program")
    parser.add_argument("--set", nargs="+", default=[], metavar="OVERRIDE", help="more overrides for Gantry")
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART must be one of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    return args


def main() -> None:
    args = parse_arguments()
    import torch  # slow to import, so after --help
    from speed.experiments import BenchmarkOptions
    from speed.markdown_page import replace_block
    from speed.timing import describe_machine

    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device must be cpu on this machine, got cuda")
    device = torch.device(args.device)
    options = BenchmarkOptions(device, args.rounds, args.seconds, args.toy, tuple(args.set))
    for part in args.parts or PARTS:
        start = time.monotonic()
        tables = importlib.import_module(f"speed.{part}").measure(options)
        command = f"`make bench ARGS={shlex.quote(' '.join([part, *format_options(args)]))}`"
        content = f"{describe_machine(device)}, {date.today()}, {command}:\n\n{tables}"
        print(f"## {part}, {args.device} ({time.monotonic() - start:.0f} s)\n\n{content}\n", flush=True)
        if args.write:
            args.page.write_text(replace_block(args.page.read_text(), part, args.device, content))


def format_options(args: argparse.Namespace) -> list[str]:
    """Return the command-line options that differ from their defaults and affect the numbers."""
    defaults = {"device": "cpu", "rounds": DEFAULT_ROUNDS, "seconds": DEFAULT_SECONDS}
    options = [f"--{name} {getattr(args, name)}" for name, value in defaults.items() if getattr(args, name) != value]
    return [*options, *(["--set", *args.set] if args.set else [])]


if __name__ == "__main__":
    main()
