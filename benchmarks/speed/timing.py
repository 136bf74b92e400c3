"""Time, machine and medians."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles

import torch


def synchronized_time(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that the work takes."""
    started = synchronized_time(device)
    work()
    return synchronized_time(device) - started


def measure_interleaved(
    works: Mapping[str, Callable[[], object]], rounds: int, device: torch.device, warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of each work in each round; they take turns, so that the noise of the machine strikes all alike."""
    for work in works.values():
        if warm:
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(measure_seconds(work, device))
    return times


def compute_quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def compute_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of each round."""
    return [a / b for a, b in zip(ours, theirs)]


def format_ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """`1.03 (1.01 to 1.06)`: the median and the quartiles of the ratios of rounds."""
    low, middle, high = compute_quartiles(compute_ratios(ours, theirs))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def format_milliseconds(values: Sequence[float]) -> str:
    """The median."""
    value = 1000 * median(values)
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def describe_machine(device: torch.device) -> str:
    """The processor, or the GPU beside it, and what of them is in use."""
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    said = f"{read_processor_name()}, cores: {cores}, threads: {threads}"
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return f"{gpu}{said}, torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"


def read_processor_name() -> str:
    """As Linux names it, with family and model, since names alone are often of no use."""
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    named = facts.get("model name", platform.machine())
    return f"{named} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"
