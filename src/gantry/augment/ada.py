"""ADA: augmentations of all images that D sees, with a probability that follows how much D overfits.

Karras et al. 2020, "Training generative adversarial networks with limited data".
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gantry.augment.colors import add_noise, amplify_bands, cut_out, jitter_colors
from gantry.augment.warps import blit, warp
from gantry.schedules import Clock, Schedule


class RandomAugment(nn.Module):
    """x [N, C, H, W] -> [N, C, H, W]: each transformation with probability `p`, a number or a schedule (appendix B).

    `blit`, `geometry` and `color` are the paper's best set; `band_filter`, `noise` and `cutout` are its others.
    `color_strength` scales the changes of the colours.
    """

    p: Tensor

    def __init__(
        self,
        p: float | Schedule,
        blit: bool = True,
        geometry: bool = True,
        color: bool = True,
        band_filter: bool = False,
        noise: bool = False,
        cutout: bool = False,
        color_strength: float = 1.0,
    ) -> None:
        super().__init__()
        if not callable(p) and not 0 <= p <= 1:
            raise ValueError(f"augment.p must be in [0, 1] or a schedule, got {p}")
        self.schedule = p if callable(p) else None
        self.register_buffer("p", torch.tensor(0.0 if callable(p) else float(p)))
        self.blit, self.geometry, self.color, self.color_strength = blit, geometry, color, color_strength
        self.band_filter, self.noise, self.cutout = band_filter, noise, cutout

    def set_clock(self, clock: Clock) -> None:
        """Set p at the time of the clock, if it is scheduled."""
        if self.schedule is not None:
            self.p.fill_(self.schedule(clock))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError(f"augment must be none for data without images, got x of shape {list(x.shape)}")
        if self.blit:
            x = blit(x, self.p)
        if self.geometry:
            x = warp(x, self.p)
        if self.color:
            x = jitter_colors(x, self.p, self.color_strength)
        if self.band_filter:
            x = amplify_bands(x, self.p)
        if self.noise:
            x = add_noise(x, self.p)
        return cut_out(x, self.p) if self.cutout else x


class AdaptiveAugment(RandomAugment):
    """`RandomAugment` whose p holds r_t = E[sign D(x)] at real images at `target` (section 3.1).

    Every `interval` updates of D, p moves by the share of `kimg` thousands of real images that these have shown, up if
    r_t is above the target, else down, within [0, 1]. `batch_size` is that of D's updates.
    """

    signs: Tensor
    updates: Tensor

    def __init__(
        self,
        batch_size: int,
        target: float = 0.6,
        kimg: float = 500.0,
        interval: int = 4,
        p: float = 0.0,
        blit: bool = True,
        geometry: bool = True,
        color: bool = True,
        band_filter: bool = False,
        noise: bool = False,
        cutout: bool = False,
        color_strength: float = 1.0,
    ) -> None:
        super().__init__(p, blit, geometry, color, band_filter, noise, cutout, color_strength)
        if not -1 <= target <= 1:
            raise ValueError(f"augment.target must be in [-1, 1], got {target}")
        self.target, self.interval = target, interval
        self.step = batch_size * interval / (1000 * kimg)
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))

    def observe(self, scalars: Mapping[str, Tensor]) -> None:
        """Count the signs of D's logits at the real images of an update, and move p when its interval is over."""
        self.signs.add_(scalars["logits/real_sign"])
        self.updates.add_(1)
        is_over = self.updates >= self.interval
        step = self.step * (self.signs / self.updates - self.target).sign()
        self.p.copy_(torch.where(is_over, (self.p + step).clamp(0, 1), self.p))
        self.signs.mul_(~is_over)
        self.updates.mul_(~is_over)
