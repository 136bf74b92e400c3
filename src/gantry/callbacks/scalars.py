"""Scalars of the turns, the speed and the memory, logged at intervals."""

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

KIB, GIB = 1024, 1024**3
MAXRSS_UNIT = 1 if sys.platform == "darwin" else KIB  # bytes in the unit of ru_maxrss


class ScalarMonitor(GanCallback):
    """Logs every `every` turns and at the end: the mean of each scalar since the last row, the norms of the last
    gradients of D and G (`grad/D`, `grad/G`), the speed, and the peak memory.

    The scalars stay on the device in between, so that nothing waits for it, and go into checkpoints. Means are over the
    ranks, too. To log one more number of a loss, return it in the scalars of `GAN.d_loss` or `GAN.g_loss`; a callback
    of your own calls `self.log`. Images per second exclude the time from here to the next turn: as this is the first
    callback, the work of the others at the same turn does not count. `speed/seconds` is the time since training began,
    evaluations included, without the time between the last checkpoint and the start of a resumed run.
    """

    state_key = "Scalars"  # in checkpoints: the name that the class once had
    before = (GanCallback,)

    def __init__(self, every: int) -> None:
        self.every = every
        self.interval_start: tuple[float, float] | None = None  # time and kimg at the first turn since the last row
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.previous_seconds = 0.0  # seconds of the processes before this one
        self.start_time = time.perf_counter()

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        rewind_loggers(trainer.loggers, gan.turn)
        self.start_time = time.perf_counter()
        self.sums = {name: total.to(gan.device) for name, total in self.sums.items()}  # restored ones are on the CPU

    def on_turn_start(self, trainer: Trainer, gan: GAN) -> None:
        if self.interval_start is None:
            self.interval_start = time.perf_counter(), gan.kimg

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        self.add_scalars(outputs["losses"])
        if gan.is_due(self.every):
            speed = {"speed/images_per_second": self.images_per_second(gan.kimg), "speed/seconds": self.elapsed_seconds}
            means = self.compute_means(compute_gradient_norms({"grad/D": gan.D, "grad/G": gan.G}))
            numbers = means | speed | measure_peak_memory(gan.device)
            self.interval_start, self.sums, self.counts = None, {}, {}
            log_metrics(trainer.loggers, numbers, gan.turn, gan.kimg)

    def state_dict(self) -> dict[str, Any]:
        sums = {name: total.cpu() for name, total in self.sums.items()}
        return {"sums": sums, "counts": self.counts, "seconds": self.elapsed_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        sums, counts, seconds = state["sums"], state["counts"], state.get("seconds", 0.0)
        is_whole = isinstance(sums, dict) and isinstance(counts, dict) and sums.keys() == counts.keys()
        if not is_whole or not all(isinstance(total, Tensor) and total.numel() == 1 for total in sums.values()):
            raise ValueError("sums and counts must have the same names")
        self.sums, self.counts, self.previous_seconds = (
            sums,
            {name: int(n) for name, n in counts.items()},
            float(seconds),
        )

    @property
    def elapsed_seconds(self) -> float:
        """The seconds of training so far, by this process and those that it resumes."""
        return self.previous_seconds + time.perf_counter() - self.start_time

    def add_scalars(self, scalars: dict[str, Tensor]) -> None:
        """Add the scalars of a turn; a lazy term is not in every turn."""
        for name in scalars.keys() - self.sums.keys():
            self.sums[name] = torch.zeros_like(scalars[name], dtype=torch.float32)
        torch._foreach_add_([self.sums[name] for name in scalars], [value.detach() for value in scalars.values()])
        for name in scalars:
            self.counts[name] = self.counts.get(name, 0) + 1

    def compute_means(self, more: dict[str, Tensor]) -> dict[str, float]:
        """Return the mean of each scalar, and `more`, in one transfer from the device; every rank must call it."""
        values = {name: self.sums[name] / self.counts[name] for name in sorted(self.sums)} | more
        means = torch.stack([value.float() for value in values.values()])
        collectives.all_reduce_mean_([means])
        return dict(zip(values, means.tolist()))

    def images_per_second(self, kimg: float) -> float:
        """Return the real images shown to D per second since the last row."""
        assert self.interval_start is not None
        start_time, start_kimg = self.interval_start
        return 1000 * (kimg - start_kimg) / (time.perf_counter() - start_time)


def compute_gradient_norms(nets: Mapping[str, Net]) -> dict[str, Tensor]:
    """Return the L2 norm of each net's last gradient, after clipping: name -> [], on the device.

    Nets without gradients (before the first turn, or after a skipped update) are left out.
    """
    gradients = {name: [p.grad for p in net.parameters() if p.grad is not None] for name, net in nets.items()}
    return {name: nn.utils.get_total_norm(grads).detach() for name, grads in gradients.items() if grads}


def measure_peak_memory(device: torch.device | str) -> dict[str, float]:
    """Return the peak in GiB: `memory/process_gib` of main memory, and on a GPU `memory/gpu_gib` of tensors."""
    peak = {}
    if sys.platform != "win32":  # Windows does not measure it
        import resource

        peak["memory/process_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / GIB
    if torch.device(device).type == "cuda":
        peak["memory/gpu_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return peak
