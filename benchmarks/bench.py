"""Every speed that Gantry promises, each beside its baseline in the same run; prints Markdown tables.

make bench                                               # all parts, on a CPU in under a quarter of an hour
make bench ARGS="--write"                                # into docs/benchmarks.md, where other devices' tables stay
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
os.environ["PYTHONPATH"] = os.pathsep.join(PATHS)  # of further processes, too
PARTS = ("turn", "switches", "floor", "loader", "evaluation", "memory", "scaling", "start")
DEFAULT_ROUNDS, DEFAULT_SECONDS = 20, 0.3


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="of each race, the most")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="of each stretch in a race")
    parser.add_argument("--toy", action="store_true", help="sizes that test the program and measure nothing")
    parser.add_argument("--set", nargs="+", default=[], metavar="WORD", help="more overrides for Gantry")
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART must be one of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    return args


def main() -> None:
    args = parse_arguments()
    import torch  # seconds, which --help need not take
    from speed.experiments import BenchmarkOptions
    from speed.markdown_page import replace_block
    from speed.timing import describe_machine

    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device must be cpu on this machine, got cuda")
    device = torch.device(args.device)
    options = BenchmarkOptions(device, args.rounds, args.seconds, args.toy, tuple(args.set))
    for part in args.parts or PARTS:
        started = time.monotonic()
        tables = importlib.import_module(f"speed.{part}").measure(options)
        command = f"`make bench ARGS={shlex.quote(' '.join([part, *format_options(args)]))}`"
        content = f"{describe_machine(device)}, {date.today()}, {command}:\n\n{tables}"
        print(f"## {part}, {args.device} ({time.monotonic() - started:.0f} s)\n\n{content}\n", flush=True)
        if args.write:
            args.page.write_text(replace_block(args.page.read_text(), part, args.device, content))


def format_options(args: argparse.Namespace) -> list[str]:
    """What else decides the numbers, as it would be typed."""
    plain = {"device": "cpu", "rounds": DEFAULT_ROUNDS, "seconds": DEFAULT_SECONDS}
    words = [f"--{name} {getattr(args, name)}" for name, value in plain.items() if getattr(args, name) != value]
    return [*words, *(["--set", *args.set] if args.set else [])]


if __name__ == "__main__":
    main()
