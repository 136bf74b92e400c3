import torch
from torch import Tensor

from gantry.distributed import collectives
from spawn_ranks import run_on_ranks


def everything() -> dict[str, Tensor | int]:
    rank = collectives.rank()
    mine = [torch.full((2,), float(rank)), torch.full((1, 2), rank + 1.0)]
    collectives.all_reduce_mean_(mine)
    weight = torch.tensor(2.0, requires_grad=True)
    logits = weight * torch.tensor([1.0, 2.0]) * (rank + 1)
    whole = collectives.all_gather(logits)
    (whole - whole.mean()).square().mean().backward()  # couples all samples
    gradient = weight.grad
    assert gradient is not None
    collectives.all_reduce_mean_([gradient])
    return {
        "size": collectives.world_size(),
        "mean0": mine[0],
        "mean1": mine[1],
        "sum": collectives.all_reduce_sum_(torch.tensor([rank + 1.0])),
        "cat": collectives.all_gather_uneven(torch.full((rank, 2), rank)),
        "gathered": whole.detach(),
        "gradient": gradient,
    }


def test_three_processes() -> None:
    results = run_on_ranks(3, everything)
    weight = torch.tensor(2.0, requires_grad=True)
    whole = weight * torch.tensor([1.0, 2.0, 2.0, 4.0, 3.0, 6.0])
    (whole - whole.mean()).square().mean().backward()
    for result in results:
        assert result["size"] == 3
        assert result["mean0"].tolist() == [1.0, 1.0]
        assert result["mean1"].tolist() == [[2.0, 2.0]]
        assert result["sum"].tolist() == [6.0]
        assert result["cat"].tolist() == [[1, 1], [2, 2], [2, 2]]
        torch.testing.assert_close(result["gathered"], whole.detach())
        torch.testing.assert_close(result["gradient"], weight.grad)


def test_alone_nothing_changes() -> None:
    x = torch.arange(3.0, requires_grad=True)
    assert collectives.all_gather(x) is x
    assert collectives.all_gather_uneven(x) is x
    assert (collectives.world_size(), collectives.rank()) == (1, 0)
