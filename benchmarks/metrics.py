"""Time and memory of the numeric part of each metric, beside torch-fidelity and torchmetrics on the same features.

    python benchmarks/metrics.py                                             # all, at 10,000 and 50,000 samples
    python benchmarks/metrics.py --metrics KID --samples 5000 --repeats 5    # some

Prints a Markdown table. Features are random, float32, with variances that fall as those of Inception-v3 do. Every
measurement has a process of its own, and those that are compared take turns. Memory is what the computation adds to
the features or logits that it is given, at its peak. Linux only: it forks, and reads ru_maxrss in kilobytes.
"""

import argparse
import multiprocessing
import os
import resource
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median

from metric_cases import GANTRY, METRIC_CASES, CaseSize


def peak_rss_mb() -> float:
    """The most memory that this process has held, in MB, since the last `forget_peak`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak_rss() -> None:
    """What inputs took while they were made is not the metric's."""
    Path("/proc/self/clear_refs").write_text("5")


def measure_call(metric: str, who: str, size: CaseSize) -> tuple[float, float]:
    """Seconds and MB of one call; call it in a fresh process."""
    warnings.filterwarnings("ignore", module="torchmetrics")
    case = METRIC_CASES[metric][who]
    case(replace(size, samples=40, features=16, subsets=1, subset_size=20))()  # loads libraries
    work = case(size)
    reset_peak_rss()
    before, start = peak_rss_mb(), time.perf_counter()
    work()
    return time.perf_counter() - start, peak_rss_mb() - before


def measure_implementations(metric: str, size: CaseSize, repeats: int) -> dict[str, tuple[float, float]]:
    """The medians of seconds and MB for each implementation."""
    seen: dict[str, list[tuple[float, float]]] = {who: [] for who in METRIC_CASES[metric]}
    for _ in range(repeats):
        for who, results in seen.items():
            with multiprocessing.get_context("fork").Pool(1) as pool:
                results.append(pool.apply(measure_call, (metric, who, size)))
    return {who: (median(s for s, _ in results), median(m for _, m in results)) for who, results in seen.items()}


def print_metric_rows(metric: str, sizes: list[CaseSize], repeats: int) -> None:
    """Print the rows of a metric; `growth` is against the first number of samples."""
    first: dict[str, tuple[float, float]] = {}
    for size in sizes:
        results = measure_implementations(metric, size, repeats)
        for who, (seconds, memory) in results.items():
            s, m = first.setdefault(who, (seconds, memory))
            growth = "" if size is sizes[0] else f"{seconds / s:.1f} and {memory / max(m, 1):.1f}"
            cells = [metric, f"{size.samples:,}", who, f"{seconds:.2f}", f"{seconds / results[GANTRY][0]:.2f}"]
            print(f"| {' | '.join([*cells, f'{memory:,.0f}', growth])} |", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metrics", nargs="+", choices=METRIC_CASES, default=list(METRIC_CASES))
    parser.add_argument("--samples", nargs="+", type=int, default=[10_000, 50_000])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=1008)
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--subset-size", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    sizes = [CaseSize(n, args.features, args.classes, args.subsets, args.subset_size) for n in args.samples]
    print(f"{args.features} features, threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}\n")
    print("| metric | samples | implementation | seconds | times ours | MB | growth of seconds and MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for metric in args.metrics:
        print_metric_rows(metric, sizes, args.repeats)


if __name__ == "__main__":
    main()
