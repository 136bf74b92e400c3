"""Collectives over the processes of a run. Every function is the identity when there is only one process."""

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, 0 <= rank < world size."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def barrier() -> None:
    """Wait until every process has called this function."""
    if world_size() > 1:
        dist.barrier()


def all_reduce_sum_(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place; every process must call it, with the same shape."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def all_reduce_mean_(tensors: list[Tensor]) -> None:
    """Average tensors over all processes, in place, with one message for each dtype."""
    if world_size() == 1 or not tensors:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor)
    for group in by_dtype.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        flat /= world_size()
        parts = torch.split(flat, [tensor.numel() for tensor in group])
        torch._foreach_copy_(group, [part.view_as(tensor) for part, tensor in zip(parts, group)])


def all_gather_uneven(tensor: Tensor) -> Tensor:
    """Concatenate tensors [N, ...] whose N differs by process -> [sum of N, ...] everywhere, in rank order."""
    if world_size() == 1:
        return tensor
    counts = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
    longest = max(int(count) for count in counts)
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts)])


class _AllGather(torch.autograd.Function):
    """Concatenation over ranks; its gradient is the sum over ranks of the gradients of this rank's part."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.count = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[rank() * ctx.count : (rank() + 1) * ctx.count]


def all_gather(tensor: Tensor) -> Tensor:
    """Concatenate tensors [N, ...] of all processes -> [world_size N, ...], differentiable once; N must be equal.

    If every process computes a loss of the gathered tensor, the mean of the parameter gradients over the processes
    is exactly the gradient that one process would compute on the whole batch.
    """
    return _AllGather.apply(tensor) if world_size() > 1 else tensor


def all_gather_pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Call `all_gather` for two tensors [N, ...] of one shape at once, in one message."""
    if world_size() > 1:
        by_rank = all_gather(torch.stack([a, b])[None])  # [world_size, 2, N, ...]
        a, b = by_rank.transpose(0, 1).flatten(1, 2).unbind()  # contiguous, so that sums equal those of one process
    return a, b
