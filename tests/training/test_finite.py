"""Detecting tensors that are not finite, by name and on all processes."""

import math

import pytest
import torch
from torch import nn

from gantry.training.finite import all_finite, first_nonfinite, is_state_finite, named_state_tensors
from spawn_ranks import run_on_ranks
from stubs import TinyGan


class Nets(TinyGan):
    """Three linear nets, of which D has been trained for a step."""

    def __init__(self) -> None:
        super().__init__(G_ema=nn.Linear(2, 2))
        self.G, self.D = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
        self.device = torch.device("cpu")  # type: ignore[assignment]
        self.optimizer = torch.optim.Adam(self.D.parameters())
        self.D(torch.randn(4, 2)).sum().backward()
        self.optimizer.step()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_nonfinite_number_is_found(bad: float) -> None:
    many = [torch.full((50, 50), 3e38), torch.zeros(()), torch.zeros(0), torch.tensor([2**62])]
    assert all_finite(many)
    many[0][31, 7] = bad
    assert not all_finite(many)
    assert first_nonfinite(zip("abcd", many)) == ("a", pytest.approx(bad, nan_ok=True))


def test_large_float16_numbers_are_finite() -> None:
    assert all_finite([torch.full((3,), 3e38, dtype=torch.bfloat16), torch.full((3,), 1e300, dtype=torch.float64)])


@pytest.mark.parametrize(
    "name", ["D.0.weight", "D.1.running_var", "G.bias", "G_ema.weight", "D.0.bias (exp_avg_sq of its optimiser)"]
)
def test_every_part_of_the_state_is_checked_and_named(name: str) -> None:
    gan = Nets()
    assert is_state_finite(gan, [gan.optimizer])  # type: ignore[arg-type]
    assert first_nonfinite(named_state_tensors(gan, [gan.optimizer])) is None  # type: ignore[arg-type]
    tensor = dict(named_state_tensors(gan, [gan.optimizer]))[name]  # type: ignore[arg-type]
    tensor.data.view(-1)[-1] = math.inf
    assert not is_state_finite(gan, [gan.optimizer])  # type: ignore[arg-type]
    assert first_nonfinite(named_state_tensors(gan, [gan.optimizer])) == (name, math.inf)  # type: ignore[arg-type]


def break_rank_1() -> torch.Tensor:
    from gantry.distributed import collectives

    gan = Nets()
    before = is_state_finite(gan, [])  # type: ignore[arg-type]
    if collectives.rank() == 1:
        gan.G.bias.data[0] = math.nan
    return torch.tensor([before, is_state_finite(gan, [])])  # type: ignore[arg-type]


def test_all_processes_detect_a_break_on_one() -> None:
    assert [verdict.tolist() for verdict in run_on_ranks(2, break_rank_1)] == [[True, False], [True, False]]
