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
from metric_cases import CASES, FIDELITY, OURS, Size
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gantry.config.instantiate import build
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import images_of
from gantry.nets.dcgan import Generator
from gantry.runs.summary import read_summary
from speed.experiments import Options, composed, noise, trainer
from speed.markdown_page import table
from speed.timing import in_turns, ratio

HEADER = ("part", "images", "images/s", "baseline", "baseline, images/s", "baseline / Gantry, seconds")
WARM = 8  # images, before the clock runs
RUN = ("part of the default run", "seconds", "share")
Work = Callable[[int], object]  # on so many images


def measure(options: Options) -> str:
    """Two tables."""
    rows = [sampling(options), small_net(options), inception(options), statistics(options)]
    return table(HEADER, rows) + f"\n\n{distance(options)}\n\n" + table(RUN, default_run(options))


def row(part: str, images: int, works: dict[str, Work], baseline: str, options: Options) -> list[str]:
    """Ours against a baseline, in turns."""
    for work in works.values():
        work(min(WARM, images))
    all_of_it = {name: partial(work, images) for name, work in works.items()}
    times = in_turns(all_of_it, options.size(3, 1), options.device, warm=False)
    mine, theirs = times.values()
    rates = [f"{images / median(values):,.0f}" for values in (mine, theirs)]
    return [part, f"{images:,}", rates[0], baseline, rates[1], ratio(theirs, mine)]


def evaluation(options: Options, *words: str) -> Evaluation:
    """As configured, for images of 3x32x32."""
    chosen = [trainer(options), *noise(3, 32), "data.small_net=cifar10", *words, *options.words]
    return build(composed(chosen).metrics)


def batches(work: Callable[[int, int], object], size: int, n: int) -> None:
    for start in range(0, n, size):
        work(start, min(start + size, n))


def sampling(options: Options) -> list[str]:
    """Samples of DCGAN's generator at 32x32, as evaluations draw them."""
    n, size = options.size(1000 if options.device.type == "cpu" else 50_000, 20), evaluation(options).batch_size
    G = Generator((3, 32, 32), 128, width=options.size(64, 4), max_width=512).eval().to(options.device)
    G.to(memory_format=torch.channels_last)
    images = images_of(G, 0, options.device)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            G(torch.randn(stop - start, 128, device=options.device), None)

    works: dict[str, Work] = {"ours": partial(batches, images, size), "plain": partial(batches, plain, size)}
    return row("samples of `dcgan` at 32x32", n, works, "G alone", options)


def pictures(n: int, device: torch.device) -> Tensor:
    return torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8).to(device)


def small_net(options: Options) -> list[str]:
    """The small network's features; the baseline is the net alone, on floats that are ready."""
    n, ours = options.size(1000 if options.device.type == "cpu" else 50_000, 20), evaluation(options)
    net: Any = ours.features.to(options.device)
    x = pictures(n, options.device)
    ready = net.prepare(x)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            net.features(ready[start:stop])

    works: dict[str, Work] = {
        "ours": partial(batches, lambda start, stop: net(x[start:stop]), ours.batch_size),
        "plain": partial(batches, plain, ours.batch_size),
    }
    return row("features of the small network", n, works, "the net alone", options)


def untrained(path: Path) -> None:
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


def inception(options: Options) -> list[str]:
    """Features of Inception-v3; the baseline is torch-fidelity's own extractor, which Gantry's is built on."""
    n = options.size(32 if options.device.type == "cpu" else 10_000, 2)
    with tempfile.TemporaryDirectory() as folder:
        untrained(path := Path(folder) / "untrained.pth")
        ours = evaluation(options, "metrics=inception", f"metrics.weights={path}")
        net = ours.features.to(options.device)
        theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(path)).to(options.device)
    x = pictures(n, options.device)

    def plain(start: int, stop: int) -> None:
        with torch.inference_mode():
            theirs(x[start:stop])

    works: dict[str, Work] = {
        "ours": partial(batches, lambda start, stop: net(x[start:stop]), ours.batch_size),
        "theirs": partial(batches, plain, ours.batch_size),
    }
    return row("features of Inception-v3, random weights", n, works, "torch-fidelity", options)


def size_of(options: Options) -> Size:
    return Size(options.size(5000, 40), options.size(2048, 16), 1008, 1, 20)


def statistics(options: Options) -> list[str]:
    """Mean and covariance of 2,048 features on the CPU."""
    size, parts = size_of(options), CASES["FID, statistics of a set"]
    ready = {who: parts[who](size) for who in (OURS, FIDELITY)}
    works: dict[str, Work] = {who: lambda _, work=work: work() for who, work in ready.items()}
    return row(f"statistics of {size.features:,} features", size.samples, works, FIDELITY, options)


def distance(options: Options) -> str:
    """The Frechet distance of two statistics, a matter of their size alone."""
    size, parts = size_of(options), CASES["FID, distance"]
    times = in_turns({who: parts[who](size) for who in (OURS, FIDELITY)}, options.size(3, 1), torch.device("cpu"))
    said = ", ".join(f"{who} {median(values):.2f} s" for who, values in times.items())
    return f"Frechet distance of two statistics of {size.features:,} features: {said}."


def default_run(options: Options) -> list[list[str]]:
    """Seconds within the callbacks of `src/train.py` that evaluate, real images read anew, and of the whole run."""
    from gantry.callbacks.evaluate import Evaluate
    from gantry.callbacks.report import Report
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
        patch.object(Evaluate, "evaluate", timed("evaluations", Evaluate.evaluate)),
        patch.object(Report, "on_train_end", timed("report at the end", vars(Report)["on_train_end"])),
    ):
        words = [trainer(options), "logger=csv", f"run.dir={folder}/run", f"metrics.cache={folder}/cache"]
        train(composed([*words, *toy, *options.words]))
        whole = float(read_summary(Path(folder) / "run")["seconds"])
    return [[name, f"{s:.1f}", f"{s / whole:.1%}"] for name, s in (spent | {"all of it": whole}).items()]
