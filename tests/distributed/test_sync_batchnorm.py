"""Two processes with half of the batch each, compared with torch's BatchNorm on the full batch."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gantry.distributed import collectives
from gantry.distributed.sync_batchnorm import SYNC_CLASSES, convert_sync_batchnorm_
from spawn_ranks import run_on_ranks


def make_batch(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(8, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1


def make_norm(shape: tuple[int, ...], affine: bool) -> nn.Module:
    layer = {1: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)](shape[0], affine=affine).double()
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(0.5, 2, shape[0]))
            layer.bias.copy_(torch.linspace(-1, 1, shape[0]))
    return layer


def run_two_passes(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Run two passes, the second with a loss that couples all samples; return outputs, gradients and state."""
    net(x[: len(x) // 2].repeat(2, *[1] * (x.dim() - 1)) * 2)
    x = x.clone().requires_grad_()
    y = net(x)
    losses = collectives.all_gather(y.flatten(1).square().sum(1) * torch.arange(len(y)))
    (losses - losses.mean()).square().mean().backward()
    assert x.grad is not None
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    collectives.all_reduce_mean_(gradients)
    return {
        "y": y.detach(),
        "x.grad": x.grad / collectives.world_size(),
        **{f"grad{i}": g for i, g in enumerate(gradients)},
        **net.state_dict(),
    }


def run_on_half_the_batch(shape: tuple[int, ...], affine: bool) -> dict[str, Tensor]:
    net = make_norm(shape, affine)
    convert_sync_batchnorm_(net)
    x = make_batch(shape)
    halves = x.view(2, 4, *shape)
    return run_two_passes(net, halves[collectives.rank()])


@pytest.mark.parametrize(("shape", "affine"), [((5,), True), ((5, 3, 3), True), ((5, 3, 3), False)])
def test_two_processes_normalise_like_one(shape: tuple[int, ...], affine: bool) -> None:
    ranks = run_on_ranks(2, run_on_half_the_batch, shape, affine)
    net, x = make_norm(shape, affine), make_batch(shape)
    parts = x.view(2, 4, *shape)
    doubled = torch.cat([part[:2].repeat(2, *[1] * len(shape)) for part in parts]) * 2
    net(doubled)
    x = x.clone().requires_grad_()
    y = net(x)
    logits = y.flatten(1).square().sum(1) * torch.arange(4).repeat(2)
    (logits - logits.mean()).square().mean().backward()
    assert x.grad is not None
    torch.testing.assert_close(torch.cat([rank["y"] for rank in ranks]), y.detach())
    torch.testing.assert_close(torch.cat([rank["x.grad"] for rank in ranks]), x.grad)
    for rank in ranks:
        for i, parameter in enumerate(net.parameters()):
            torch.testing.assert_close(rank[f"grad{i}"], parameter.grad)
        for name, value in net.state_dict().items():
            torch.testing.assert_close(rank[name], value)


def test_one_process_and_evaluation_equal_torch() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)))
    other = copy.deepcopy(net)
    convert_sync_batchnorm_(other)
    assert [type(m) for m in other.modules() if type(m) in SYNC_CLASSES.values()] == [SYNC_CLASSES[nn.BatchNorm1d]] * 2
    x = torch.randn(6, 3)
    for _ in range(2):
        assert torch.equal(net(x), other(x))
        net.eval(), other.eval()
    assert list(net.state_dict()) == list(other.state_dict())
