"""Progress of training: a bar in a terminal, otherwise a log line at intervals."""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack

from lightning import Trainer
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gantry.callbacks.gan_callback import GanCallback, TurnOutputs
from gantry.training.gan import GAN

log = logging.getLogger(__name__)
REFRESH_SECONDS = 0.5  # between two updates of the bar: reading the losses waits for the device
BAR_FORMAT = "{percentage:3.0f}% |{bar}| turn {n:,d}/{total:,d} | {desc}{remaining} left"


class ProgressReporter(GanCallback):
    """Shows turn, kimg, losses, images per second and time left: in a terminal, or in the log every `seconds`."""

    rank_zero_only = True

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.bar: tqdm | None = None
        self.stack = ExitStack()
        self.start_point = self.last_point = (0.0, 0)  # time and turn

    def on_training_start(self, trainer: Trainer, gan: GAN) -> None:
        self.start_point = self.last_point = time.perf_counter(), gan.turn
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=gan.turns, initial=gan.turn, bar_format=BAR_FORMAT, dynamic_ncols=True, smoothing=0.05
            )
            self.stack.callback(self.bar.close)
            self.stack.enter_context(logging_redirect_tqdm())  # messages appear above the bar

    def on_turn_end(self, trainer: Trainer, gan: GAN, outputs: TurnOutputs) -> None:
        pause = self.seconds if self.bar is None else REFRESH_SECONDS
        now = time.perf_counter()
        if now - self.last_point[0] >= pause or gan.turn == gan.turns:
            images = 1000 * gan.kimg_per_turn * turns_per_second(self.last_point, (now, gan.turn))
            self.update_display(gan, format_progress(gan.kimg, outputs["losses"], images), now)
            self.last_point = now, gan.turn

    def update_display(self, gan: GAN, text: str, now: float) -> None:
        """Move the bar, or write a line."""
        if self.bar is not None:
            try:
                self.bar.set_description_str(text, refresh=False)
                self.bar.update(gan.turn - self.bar.n)
            except OSError:  # the terminal is closed
                self.bar.disable = True
            return
        left = (gan.turns - gan.turn) / max(turns_per_second(self.start_point, (now, gan.turn)), 1e-9)
        log.info("turn %s/%s | %s%s left", f"{gan.turn:,}", f"{gan.turns:,}", text, tqdm.format_interval(left))

    def on_teardown(self, trainer: Trainer, gan: GAN) -> None:
        self.stack.close()
        self.bar = None


def turns_per_second(then: tuple[float, int], now: tuple[float, int]) -> float:
    """Return the speed between two points (time, turn)."""
    return (now[1] - then[1]) / max(now[0] - then[0], 1e-9)


def format_progress(kimg: float, losses: Mapping[str, Tensor], images_per_second: float) -> str:
    """Return `12.8 kimg | D 1.386 G 0.693 | 4,321 img/s | `, with the losses of D and G but without their terms."""
    losses_by_net = {name.removeprefix("loss/"): float(losses[name]) for name in ("loss/D", "loss/G") if name in losses}
    values = " ".join(f"{name} {value:.3g}" for name, value in losses_by_net.items())
    return f"{kimg:,.1f} kimg | {values} | {images_per_second:,.0f} img/s | "
