"""BatchNorm over the global batch, on any device: torch's own SyncBatchNorm refuses the CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from gantry.distributed import collectives


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments over all processes; differentiable once.

    As in `collectives.all_gather`, gradients are those of the sum over the processes of their losses.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, var = compute_global_moments(x)
        scale = (var + eps).rsqrt()
        ctx.save_for_backward(x, mean, scale, weight)
        ctx.mark_non_differentiable(mean, var)
        gain = scale * weight
        return torch.addcmul(reshape_per_feature(bias - mean * gain, x), x, reshape_per_feature(gain, x)), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, mean, scale, weight = ctx.saved_tensors
        dims = [0, *range(2, x.dim())]
        d_bias = dy.sum(dims)
        d_weight = (dy * (x - reshape_per_feature(mean, x))).sum(dims) * scale
        count = collectives.world_size() * x.numel() // x.shape[1]
        by_mean, by_scale = collectives.all_reduce_sum_(torch.stack([d_bias, d_weight])) / count
        gain, slope = scale * weight, scale * by_scale
        dx = torch.addcmul(reshape_per_feature(gain * (slope * mean - by_mean), x), dy, reshape_per_feature(gain, x))
        return dx.addcmul_(x, reshape_per_feature(-gain * slope, x)), d_weight, d_bias, None


class _SyncBatchNorm(_BatchNorm):
    """Normalise in training by mean and variance over all processes, which must have equally many samples each.

    One message in the forward pass and one in the backward pass.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or collectives.world_size() == 1:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        exact = x if x.dtype == torch.float64 else x.float()
        weight = exact.new_ones(x.shape[1]) if self.weight is None else self.weight
        bias = exact.new_zeros(x.shape[1]) if self.bias is None else self.bias
        y, mean, var = _Normalise.apply(exact, weight, bias, self.eps)
        self.update_running_stats(mean, var, collectives.world_size() * x.numel() // x.shape[1])
        return y.to(x.dtype)

    @torch.no_grad()
    def update_running_stats(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Update the running statistics; the stored variance is the unbiased one of `count` numbers."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(var * (count / (count - 1)), momentum)


class SyncBatchNorm1d(_SyncBatchNorm, nn.BatchNorm1d):
    """Synchronised BatchNorm of [N, F] or [N, F, L]."""


class SyncBatchNorm2d(_SyncBatchNorm, nn.BatchNorm2d):
    """Synchronised BatchNorm of [N, F, H, W]."""


class SyncBatchNorm3d(_SyncBatchNorm, nn.BatchNorm3d):
    """Synchronised BatchNorm of [N, F, D, H, W]."""


SYNC_CLASSES: dict[type, type] = {
    nn.BatchNorm1d: SyncBatchNorm1d,
    nn.BatchNorm2d: SyncBatchNorm2d,
    nn.BatchNorm3d: SyncBatchNorm3d,
}


def compute_global_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each feature over all processes: x [N, F, ...] -> [F], [F]."""
    dims = [0, *range(2, x.dim())]
    mean = x.mean(dims)
    var = (x - reshape_per_feature(mean, x)).square().mean(dims)  # on a CPU a third of the time of x.var
    means, variances = collectives.all_gather(torch.stack([mean, var])[None]).unbind(1)  # [world_size, F]
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)


def reshape_per_feature(values: Tensor, x: Tensor) -> Tensor:
    """Reshape one number per feature to broadcast over x [N, F, ...]: [F] -> [1, F, 1, ...]."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def convert_sync_batchnorm_(net: nn.Module) -> None:
    """Convert every BatchNorm of a net to its synchronised class, in place; its state is unchanged."""
    for module in net.modules():
        if type(module) in SYNC_CLASSES:
            module.__class__ = SYNC_CLASSES[type(module)]
