"""An evaluation by its parts, and what evaluations take of the default run."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from metric_cases import FIDELITY, GANTRY, METRIC_CASES, CaseSize
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gantry.config.instantiate import build
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import make_image_source
from gantry.nets.dcgan import Generator
from gantry.runs.summary import read_summary
from speed.experiments import BenchmarkOptions, compose_train_config, get_trainer_override, make_noise_overrides
from speed.markdown_page import format_table
from speed.timing import format_ratio, measure_interleaved

HEADER = ("part", "images", "images/s", "baseline", "baseline, images/s", "baseline / Gantry, seconds")
WARM_UP_IMAGES = 8  # images, before the clock runs
RUN_HEADER = ("part of the default run", "seconds", "share")
ImageWork = Callable[[int], object]  # on so many images


def measure(options: BenchmarkOptions) -> str:
    """Two tables."""
    rows = [
        measure_sampling(options),
        measure_small_net(options),
        measure_inception(options),
        measure_statistics(options),
    ]
    return (
        format_table(HEADER, rows)
        + f"\n\n{measure_frechet_distance(options)}\n\n"
        + format_table(RUN_HEADER, measure_default_run(options))
    )


def measure_rates(
    part: str, images: int, works: dict[str, ImageWork], baseline: str, options: BenchmarkOptions
) -> list[str]:
    """Ours against a baseline, in turns."""
    for work in works.values():
        work(min(WARM_UP_IMAGES, images))
    all_of_it = {name: partial(work, images) for name, work in works.items()}
    times = measure_interleaved(all_of_it, options.full_or_toy(3, 1), options.device, warm=False)
    mine, theirs = times.values()
    rates = [f"{images / median(values):,.0f}" for values in (mine, theirs)]
    return [part, f"{images:,}", rates[0], baseline, rates[1], format_ratio(theirs, mine)]


def build_speed_evaluation(options: BenchmarkOptions, *words: str) -> Evaluation:
    """As configured, for images of 3x32x32."""
    chosen = [
        get_trainer_override(options),
        *make_noise_overrides(3, 32),
        "data.small_net=cifar10",
        *words,
        *options.overrides,
    ]
    return build(compose_train_config(chosen).metrics)


def run_in_batches(work: Callable[[int, int], object], size: int, n: int) -> None:
    for start in range(0, n, size):
        work(start, min(start + size, n))


def measure_sampling(options: BenchmarkOptions) -> list[str]:
    """Samples of DCGAN's generator at 32x32, as evaluations draw them."""
    n, size = (
        options.full_or_toy(1000 if options.device.type == "cpu" else 50_000, 20),
        build_speed_evaluation(options).batch_size,
    )
    G = Generator((3, 32, 32), 128, width=options.full_or_toy(64, 4), max_width=512).eval().to(options.device)
    G.to(memory_format=torch.channels_last)
    images = make_image_source(G, 0, options.device)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            G(torch.randn(stop - start, 128, device=options.device), None)

    works: dict[str, ImageWork] = {
        "ours": partial(run_in_batches, images, size),
        "plain": partial(run_in_batches, plain, size),
    }
    return measure_rates("samples of `dcgan` at 32x32", n, works, "G alone", options)


def random_pixels(n: int, device: torch.device) -> Tensor:
    return torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8).to(device)


def measure_small_net(options: BenchmarkOptions) -> list[str]:
    """The small network's features; the baseline is the net alone, on floats that are ready."""
    n, ours = options.full_or_toy(1000 if options.device.type == "cpu" else 50_000, 20), build_speed_evaluation(options)
    net: Any = ours.feature_extractor.to(options.device)
    x = random_pixels(n, options.device)
    ready = net.preprocess(x)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            net.extract_features(ready[start:stop])

    works: dict[str, ImageWork] = {
        "ours": partial(run_in_batches, lambda start, stop: net(x[start:stop]), ours.batch_size),
        "plain": partial(run_in_batches, plain, ours.batch_size),
    }
    return measure_rates("features of the small network", n, works, "the net alone", options)


def write_random_inception(path: Path) -> None:
    """Write random weights for Inception-v3, under which signals neither die nor grow."""
    with (
        patch.object(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None),
        patch.object(torch, "load", lambda *_, **__: {}),
    ):
        net = FeatureExtractorInceptionV3("untrained", ["2048"], "none")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(net.state_dict(), path)


def measure_inception(options: BenchmarkOptions) -> list[str]:
    """Features of Inception-v3; the baseline is torch-fidelity's own extractor, which Gantry's is built on."""
    n = options.full_or_toy(32 if options.device.type == "cpu" else 10_000, 2)
    with tempfile.TemporaryDirectory() as folder:
        write_random_inception(path := Path(folder) / "untrained.pth")
        ours = build_speed_evaluation(options, "metrics=inception", f"metrics.weights={path}")
        net = ours.feature_extractor.to(options.device)
        theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(path)).to(options.device)
    x = random_pixels(n, options.device)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            theirs(x[start:stop])

    works: dict[str, ImageWork] = {
        "ours": partial(run_in_batches, lambda start, stop: net(x[start:stop]), ours.batch_size),
        "theirs": partial(run_in_batches, plain, ours.batch_size),
    }
    return measure_rates("features of Inception-v3, random weights", n, works, "torch-fidelity", options)


def make_statistics_size(options: BenchmarkOptions) -> CaseSize:
    return CaseSize(options.full_or_toy(5000, 40), options.full_or_toy(2048, 16), 1008, 1, 20)


def measure_statistics(options: BenchmarkOptions) -> list[str]:
    """Mean and covariance of 2,048 features on the CPU."""
    size, parts = make_statistics_size(options), METRIC_CASES["FID, statistics of a set"]
    ready = {who: parts[who](size) for who in (GANTRY, FIDELITY)}
    works: dict[str, ImageWork] = {who: lambda _, work=work: work() for who, work in ready.items()}
    return measure_rates(f"statistics of {size.features:,} features", size.samples, works, FIDELITY, options)


def measure_frechet_distance(options: BenchmarkOptions) -> str:
    """The Frechet distance of two statistics, a matter of their size alone."""
    size, parts = make_statistics_size(options), METRIC_CASES["FID, distance"]
    times = measure_interleaved(
        {who: parts[who](size) for who in (GANTRY, FIDELITY)}, options.full_or_toy(3, 1), torch.device("cpu")
    )
    said = ", ".join(f"{who} {median(values):.2f} s" for who, values in times.items())
    return f"Frechet distance of two statistics of {size.features:,} features: {said}."


def measure_default_run(options: BenchmarkOptions) -> list[list[str]]:
    """Seconds within the callbacks of `src/train.py` that evaluate, real images read anew, and of the whole run."""
    from gantry.callbacks.evaluate import Evaluator
    from gantry.callbacks.report import FinalReport
    from gantry.commands.train import train

    spent = {"evaluations": 0.0, "report at the end": 0.0}

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any) -> None:
            started = time.perf_counter()
            method(*args)
            spent[name] += time.perf_counter() - started

        return wrapper

    toy = ["turns=4", "metrics.num_samples=20", "metrics.report.num_samples=20"] if options.toy else []
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(Evaluator, "evaluate", timed("evaluations", Evaluator.evaluate)),
        patch.object(FinalReport, "on_train_end", timed("report at the end", vars(FinalReport)["on_train_end"])),
    ):
        words = [get_trainer_override(options), "logger=csv", f"run.dir={folder}/run", f"metrics.cache={folder}/cache"]
        train(compose_train_config([*words, *toy, *options.overrides]))
        whole = float(read_summary(Path(folder) / "run")["seconds"])
    return [[name, f"{s:.1f}", f"{s / whole:.1%}"] for name, s in (spent | {"all of it": whole}).items()]
