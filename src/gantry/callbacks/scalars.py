"""The numbers of the training step, for people and loggers."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.distributed import collectives
from gantry.loggers.dispatch import log_metrics, rewind_loggers
from gantry.nets.contract import Net
from gantry.training.gan import GAN


class ScalarMonitor(GanCallback):
    """Every `every` turns, and at the end, the means of all scalars since the last time, the norms of the last
    gradients of D and G (`grad/D`, `grad/G`), the speed, and the most memory so far.

    They stay on the device in between, so that nothing waits for it, and go into checkpoints. Means are over
    the processes, too. The clock of the speed stands still from here to the start of the next turn: placed first
    among the callbacks, it leaves their time out when they act at the same turns. `speed/seconds` is the time since
    training began, evaluations and all, without the time between a checkpoint and the run that goes on from it.
    """

    state_key = "Scalars"  # in checkpoints: the name that the class once had

    def __init__(self, every: int) -> None:
        self.every = every
        self.interval_start: tuple[float, float] | None = None  # time and kimg at the start of this stretch
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.previous_seconds = 0.0  # seconds, before this process went on
        self.start_time = time.perf_counter()

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        rewind_loggers(trainer.loggers, gan.turn)
        self.start_time = time.perf_counter()
        self.sums = {name: total.to(gan.device) for name, total in self.sums.items()}  # a checkpoint's lie on the CPU

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        if self.interval_start is None:
            self.interval_start = time.perf_counter(), gan.kimg

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.add_scalars(outputs["losses"])
        if gan.is_due(self.every):
            speed = {"speed/images_per_second": self.images_per_second(gan.kimg), "speed/seconds": self.elapsed_seconds}
            numbers = (
                self.compute_means(compute_gradient_norms({"grad/D": gan.D, "grad/G": gan.G}))
                | speed
                | measure_peak_memory(gan.device)
            )
            self.interval_start, self.sums, self.counts = None, {}, {}
            log_metrics(trainer.loggers, numbers, gan.turn, gan.kimg)

    def state_dict(self) -> dict[str, Any]:
        sums = {name: total.cpu() for name, total in self.sums.items()}
        return {"sums": sums, "counts": self.counts, "seconds": self.elapsed_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.counts, self.previous_seconds = state["sums"], state["counts"], state.get("seconds", 0.0)

    @property
    def elapsed_seconds(self) -> float:
        """Of training so far, by this process and those that it goes on from."""
        return self.previous_seconds + time.perf_counter() - self.start_time

    def add_scalars(self, scalars: dict[str, Tensor]) -> None:
        """Take in the scalars of a turn; a lazy term is not in every turn."""
        for name in scalars.keys() - self.sums.keys():
            self.sums[name] = torch.zeros_like(scalars[name], dtype=torch.float32)
        torch._foreach_add_([self.sums[name] for name in scalars], [value.detach() for value in scalars.values()])
        for name in scalars:
            self.counts[name] = self.counts.get(name, 0) + 1

    def compute_means(self, more: dict[str, Tensor]) -> dict[str, float]:
        """The mean of each scalar, and `more`, fetched from the device at once; every process calls it."""
        values = {name: self.sums[name] / self.counts[name] for name in sorted(self.sums)} | more
        means = torch.stack([value.float() for value in values.values()])
        collectives.all_reduce_mean_([means])
        return dict(zip(values, means.tolist()))

    def images_per_second(self, kimg: float) -> float:
        """Real images shown to D per second since this stretch began."""
        assert self.interval_start is not None
        started, before = self.interval_start
        return 1000 * (kimg - before) / (time.perf_counter() - started)


def compute_gradient_norms(nets: Mapping[str, Net]) -> dict[str, Tensor]:
    """L2 norm of the gradient by which each net descended last, clipped if it was: name -> [], on the device.

    A net without gradients (before the first turn, or when its update was left out) is not in it.
    """
    gradients = {name: [p.grad for p in net.parameters() if p.grad is not None] for name, net in nets.items()}
    return {name: nn.utils.get_total_norm(found).detach() for name, found in gradients.items() if found}


KIB, GIB = 1024, 1024**3

MAXRSS_UNIT = 1 if sys.platform == "darwin" else KIB  # bytes in which the system counts


def measure_peak_memory(device: torch.device | str) -> dict[str, float]:
    """The most so far, in GiB: `memory/process_gib` in the machine's memory, on a GPU `memory/gpu_gib` of tensors."""
    peak = {}
    if sys.platform != "win32":  # which has no such count
        import resource

        peak["memory/process_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / GIB
    if torch.device(device).type == "cuda":
        peak["memory/gpu_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return peak
