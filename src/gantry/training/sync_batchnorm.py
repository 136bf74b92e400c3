"""BatchNorm over the global batch, however many processes share it."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gantry import world


class _Synced(_BatchNorm):
    """In training, mean and variance are those of the samples of all processes, each of which has as many.

    torch's SyncBatchNorm does the same on GPUs alone. One message a pass, and one back.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world.size() == 1:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        mean, var = moments(x.float() if x.dtype != torch.float64 else x)
        self.track(mean, var, world.size() * x.numel() // x.shape[1])
        gain = (var + self.eps).rsqrt() * (1.0 if self.weight is None else self.weight)
        shift = -mean * gain if self.bias is None else self.bias - mean * gain
        shape = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul(shift.view(shape), x, gain.view(shape)).to(x.dtype)

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Bring the running averages on; the variance is the unbiased one of `count` numbers."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * (count / (count - 1)), share)


class Synced1d(_Synced, nn.BatchNorm1d):
    """For [N, F] and [N, F, L]."""


class Synced2d(_Synced, nn.BatchNorm2d):
    """For [N, F, H, W]."""


class Synced3d(_Synced, nn.BatchNorm3d):
    """For [N, F, D, H, W]."""


SYNCED: dict[type, type] = {nn.BatchNorm1d: Synced1d, nn.BatchNorm2d: Synced2d, nn.BatchNorm3d: Synced3d}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each feature over all processes: x [N, F, ...] -> [F], [F]."""
    dims = [0, *range(2, x.dim())]
    mine = torch.stack([x.mean(dims), x.var(dims, correction=0)])
    means, variances = world.gather(mine[None]).unbind(1)  # [size, F]
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)


def synchronise_(net: nn.Module) -> None:
    """Let every BatchNorm of a net see the global batch, in place; its state stays what it is."""
    for module in net.modules():
        if type(module) in SYNCED:
            module.__class__ = SYNCED[type(module)]
