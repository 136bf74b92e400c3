import torch
from torch import Tensor

from gantry.distributed import collectives
from spawn_ranks import run_on_ranks


def run_all_collectives() -> dict[str, Tensor | int]:
    rank = collectives.rank()
    values = [torch.full((2,), float(rank)), torch.full((1, 2), rank + 1.0)]
    collectives.all_reduce_mean_(values)
    weight = torch.tensor(2.0, requires_grad=True)
    logits = weight * torch.tensor([1.0, 2.0]) * (rank + 1)
    gathered = collectives.all_gather(logits)
    (gathered - gathered.mean()).square().mean().backward()  # couples all samples
    gradient = weight.grad
    assert gradient is not None
    collectives.all_reduce_mean_([gradient])
    return {
        "size": collectives.world_size(),
        "mean0": values[0],
        "mean1": values[1],
        "sum": collectives.all_reduce_sum_(torch.tensor([rank + 1.0])),
        "cat": collectives.all_gather_uneven(torch.full((rank, 2), rank)),
        "gathered": gathered.detach(),
        "gradient": gradient,
    }


def test_collectives_of_three_processes() -> None:
    results = run_on_ranks(3, run_all_collectives)
    weight = torch.tensor(2.0, requires_grad=True)
    gathered = weight * torch.tensor([1.0, 2.0, 2.0, 4.0, 3.0, 6.0])
    (gathered - gathered.mean()).square().mean().backward()
    for result in results:
        assert result["size"] == 3
        assert result["mean0"].tolist() == [1.0, 1.0]
        assert result["mean1"].tolist() == [[2.0, 2.0]]
        assert result["sum"].tolist() == [6.0]
        assert result["cat"].tolist() == [[1, 1], [2, 2], [2, 2]]
        torch.testing.assert_close(result["gathered"], gathered.detach())
        torch.testing.assert_close(result["gradient"], weight.grad)


def test_collectives_of_one_process_are_the_identity() -> None:
    x = torch.arange(3.0, requires_grad=True)
    assert collectives.all_gather(x) is x
    assert collectives.all_gather_uneven(x) is x
    assert (collectives.world_size(), collectives.rank()) == (1, 0)
