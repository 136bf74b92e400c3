"""The processes that share a run. Every function is the identity when there is only one."""

import torch
from torch import Tensor
from torch import distributed as dist


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, 0 <= rank < size."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def barrier() -> None:
    """Wait until every process is here."""
    if size() > 1:
        dist.barrier()


def sum_(tensor: Tensor) -> Tensor:
    """Sum over all processes, in place; every process must call it, with the same shape."""
    if size() > 1:
        dist.all_reduce(tensor)
    return tensor


def mean_(tensors: list[Tensor]) -> None:
    """Mean over all processes, in place, as one message for each dtype."""
    if size() == 1 or not tensors:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor)
    for group in by_dtype.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        flat /= size()
        parts = torch.split(flat, [tensor.numel() for tensor in group])
        torch._foreach_copy_(group, [part.view_as(tensor) for part, tensor in zip(parts, group)])


def cat(tensor: Tensor) -> Tensor:
    """[N, ...] here, N differing by process -> [sum of N, ...] everywhere, in the order of the ranks."""
    if size() == 1:
        return tensor
    counts = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(size())]
    dist.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
    longest = max(int(count) for count in counts)
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in range(size())]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts)])


class _Gather(torch.autograd.Function):
    """Concatenation over ranks whose gradient is the sum of what every rank asks of this rank's part."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.count = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[rank() * ctx.count : (rank() + 1) * ctx.count]


def gather(tensor: Tensor) -> Tensor:
    """[N, ...] on every process -> [size N, ...], differentiable once, the same N everywhere.

    A loss of the gathered tensor, computed on every process, gives after the mean of the parameter gradients
    over the processes exactly the gradient that one process would have computed on the whole batch.
    """
    return _Gather.apply(tensor) if size() > 1 else tensor


def gather_both(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`gather` of two tensors [N] at once, in one message."""
    if size() > 1:
        by_rank = gather(torch.stack([a, b])[None])  # [size, 2, N]
        a, b = by_rank.transpose(0, 1).flatten(1).unbind()  # each in one piece: sums come out as in one process
    return a, b
